"""The quantized recurrences of neurons and leaky integrators as loops of torch operations, for any device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.functional import linear

from ...models.adlif.kernels import LIF, SE
from ...models.adlif.step import NeuronState
from ...models.adlif.surrogate import spike
from ...program.formats import Format
from ..rounding import round_half_up


class _Saturate(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, low: float, high: float) -> Tensor:
        y = x.clamp(low, high)
        ctx.save_for_backward((low < y) & (y < high))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return grad * inside, None, None


class Stores:
    """Saturating stores, and how many of them clipped."""

    def __init__(self, batch: int, device: torch.device) -> None:
        self.clipped = torch.zeros(batch, dtype=torch.int64, device=device)

    def __call__(self, x: Tensor, format: Format) -> Tensor:
        """``sat(rhu(x))`` in the format, x (B, H); the gradient is 1 inside the range and 0 at its ends."""
        free = round_half_up(x * 2.0**format.frac)
        codes = _Saturate.apply(free, float(format.min), float(format.max))
        self.clipped += (codes != free).sum(dim=1)
        return codes * format.scale


def neuron_loop(
    order: int,
    drive: Tensor,
    constants: NeuronCodes,
    state: NeuronState,
    potential: Format,
    adaptation: Format,
    slope: float,
    scale: float,
) -> tuple[Tensor, ...]:
    """`quantized_neuron_scan`: spikes, u and w after the last step, the traces of u^ and w, and the clipped stores."""
    recurrent, threshold, alpha, rise, beta, coupling, jump = constants
    store = Stores(len(drive), drive.device)
    u, w, z = state
    spikes, potentials, adaptations = [], [], []
    for drive_t in drive.unbind(1):
        current = round_half_up((drive_t + linear(z, recurrent)) * 2.0**potential.frac) * potential.scale
        if order != LIF:
            current = current - w
        seen = u, z
        u_pre = store(alpha * u + rise * current, potential)
        z = spike(u_pre, threshold, slope, scale)
        u = u_pre * (1 - z.detach())
        if order == SE:
            seen = u, z
        if order != LIF:
            w = store(beta * w + coupling * seen[0] + jump * seen[1], adaptation)
        spikes.append(z)
        potentials.append(u_pre.detach())
        adaptations.append(w.detach())
    if not spikes:
        return drive, u, w, drive.detach(), drive.detach(), store.clipped
    return torch.stack(spikes, 1), u, w, torch.stack(potentials, 1), torch.stack(adaptations, 1), store.clipped


def integrator_loop(drive: Tensor, decay: Tensor, initial: Tensor, output: Format) -> tuple[Tensor, Tensor]:
    """`quantized_integrator_scan`: potentials and the clipped stores."""
    store = Stores(len(drive), drive.device)
    o, potentials = initial, []
    for drive_t in drive.unbind(1):
        o = store(decay * o + drive_t, output)
        potentials.append(o)
    return (torch.stack(potentials, 1) if potentials else drive), store.clipped


class NeuronCodes(NamedTuple):
    """What a layer of H neurons computes with: values of codes, each may require a gradient but the threshold.

    Attributes:
        recurrent: V (H, H), from the column's neuron to the row's.
        threshold: (H,), at the potential's fractional bits.
        alpha: (H,) decay of the membrane potential.
        rise: (H,) stands for 1 - alpha.
        beta: (H,) decay of the adaptation; unused with order "lif", as are the next two.
        coupling: (H,) (1 - beta) q a, from potential to adaptation.
        jump: (H,) (1 - beta) q b, from spike to adaptation.
    """

    recurrent: Tensor
    threshold: Tensor
    alpha: Tensor
    rise: Tensor
    beta: Tensor
    coupling: Tensor
    jump: Tensor
