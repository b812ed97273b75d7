"""The quantized recurrences of neurons and leaky integrators as loops of torch operations, for any device."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from ...models.scan.neuron_step import NeuronConstants, NeuronState, unroll, update
from ...models.scan.surrogate import spike
from ...program.formats import Format
from ..rounding import round_half_up


class _Saturate(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        y = x.clamp(low, high)
        ctx.save_for_backward((low < y) & (y < high))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
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


class NeuronCodes(NamedTuple):
    """What a layer of H neurons computes with: values of codes, each may require a gradient but the threshold.

    Attributes:
        recurrent: V (H, H), from the column's neuron to the row's; (H, 0) without recurrence.
        threshold: (H,), at the potential's fractional bits.
        alpha: (H,) decay of the membrane potential.
        rise: (H,) stands for 1 - alpha, or is 1.
        beta: (H,) decay of the adaptation, or with order "cuba" of the synaptic current; unused with order "lif".
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

    @property
    def constants(self) -> NeuronConstants:
        """What a float layer would have of it."""
        return NeuronConstants(self.recurrent, self.alpha, self.beta, self.coupling, self.jump, self.rise)


def neuron_loop(
    order: str,
    drive: Tensor,
    codes: NeuronCodes,
    state: NeuronState,
    potential: Format,
    adaptation: Format,
    slope: float,
    scale: float,
    reset: str,
    refractory: int,
) -> tuple[Tensor, ...]:
    """`quantized_neuron_scan`: spikes, u, w, c after the last step, the traces of u^ and w, and the clipped stores."""
    store = Stores(len(drive), drive.device)
    constants = codes.constants

    def step(drive_t: Tensor, before: NeuronState) -> tuple[Tensor, NeuronState]:
        current = round_half_up((drive_t + linear(before.z, codes.recurrent)) * 2.0**potential.frac) * potential.scale
        return update(
            order,
            current,
            constants,
            before,
            lambda u_pre: spike(u_pre, codes.threshold, slope, scale),
            (reset, codes.threshold, refractory),
            lambda u: store(u, potential),
            lambda w: store(w, adaptation),
        )

    return *unroll(drive, state, step), store.clipped


def integrator_loop(drive: Tensor, decay: Tensor, initial: Tensor, output: Format) -> tuple[Tensor, Tensor]:
    """`quantized_integrator_scan`: potentials and the clipped stores."""
    store = Stores(len(drive), drive.device)
    o, potentials = initial, []
    for drive_t in drive.unbind(1):
        o = store(decay * o + drive_t, output)
        potentials.append(o)
    return (torch.stack(potentials, 1) if potentials else drive), store.clipped
