"""`loihi_scan` in torch: any device, step by step, with the surrogate gradient of Loihi's spikes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import linear

from ...models.scan.surrogate import surrogate_slope
from ...program.nodes.loihi import ALIGNMENT, DECAY_BITS, STATE_LIMIT
from ..straight_through import replace

UNITY = 1 << DECAY_BITS

ALIGNED = 1 << ALIGNMENT

HIGHEST = STATE_LIMIT - 1


def loihi_loop(
    drive: Tensor, recurrent: Tensor, bias: Tensor, dynamics: Dynamics, slope: float, scale: float
) -> tuple[Tensor, ...]:
    """`loihi_scan` step by step: z, u, v before the reset, and what was lost. In float64, which holds every product."""
    du, dv, vth = (torch.from_numpy(codes).to(drive.device) for codes in dynamics.each(drive.shape[2]))
    dtype = drive.dtype
    drive, recurrent, bias = drive.double(), recurrent.double(), bias.double()
    u = v = z = drive.new_zeros(drive.shape[0], drive.shape[2])
    lost = torch.zeros(len(drive), dtype=torch.int64, device=drive.device)
    traces: list[tuple[Tensor, Tensor, Tensor]] = []
    for drive_t in drive.unbind(1):
        arriving = replace(drive_t, torch.floor(drive_t.detach() + 0.5))
        if recurrent.shape[1]:
            arriving = arriving + linear(z, recurrent)
        whole = _decayed(u, du + 1) + ALIGNED * arriving
        wrapped = whole - 2 * STATE_LIMIT * (whole > STATE_LIMIT)
        u = wrapped + 2 * STATE_LIMIT * (wrapped <= -STATE_LIMIT)
        free = _decayed(v, dv) + u + ALIGNED * bias
        potential = free.clamp(-HIGHEST, HIGHEST)
        inside = (potential.detach().abs() < HIGHEST).to(potential)
        potential = replace(free, potential.detach(), inside)
        lost += (u != whole).sum(1) + (potential != free).sum(1)
        slopes = threshold_slope(potential.detach(), vth, slope, scale)
        z = _Spike.apply(potential, vth << ALIGNMENT, slopes)
        v = potential * (1 - z.detach())
        traces.append((z, u.detach(), potential.detach()))
    if not traces:
        return drive.to(dtype), drive.to(dtype), drive.to(dtype), lost
    return *(torch.stack(steps, 1).to(dtype) for steps in zip(*traces, strict=True)), lost


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, potential: Tensor, threshold: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(slopes)
        return (potential > threshold).to(potential)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad * ctx.saved_tensors[0], None, None


def _decayed(state: Tensor, decay: Tensor) -> Tensor:
    """Truncated towards zero; the gradient does not see it."""
    real = state * ((UNITY - decay) / UNITY)
    return replace(real, torch.trunc(state.detach() * (UNITY - decay) / UNITY))


def threshold_slope(potential: Tensor, vth: Tensor, slope: float, scale: float) -> Tensor:
    """The derivative put in place of that of ``[v > 64 vth]`` by v: as for a threshold of 1, which 64 vth codes are.

    Shapes: ``potential`` (B, T, H), ``vth`` (H,).
    """
    unit = vth.clamp(min=1).to(potential) * ALIGNED
    return surrogate_slope(potential / unit, 1.0, slope, scale) / unit


class Dynamics(NamedTuple):
    """``du``, ``dv`` and ``vth`` of a LoihiLIF node, each one for the layer or one a neuron, (H,)."""

    du: int | NDArray[np.int64]
    dv: int | NDArray[np.int64]
    vth: int | NDArray[np.int64]

    def each(self, neurons: int) -> tuple[NDArray[np.int64], ...]:
        """The three of every neuron, (H,) each."""
        return tuple(np.full(neurons, codes, dtype=np.int64) for codes in self)
