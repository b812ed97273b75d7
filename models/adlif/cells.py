"""Recurrent layers of LIF, current-based LIF, EF-adLIF and SE-adLIF neurons."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from ...errors import PumiceError
from ..initial import uniform
from ..scan.neuron_step import NeuronConstants, NeuronState, Spiking, neuron_step
from ..scan.neurons import NeuronTrace, neuron_scan
from ..spikes import SpikeTap
from .time_constant import Bounds, TimeConstant

LARGEST_A, LARGEST_B = 1.0, 2.0


def uniform_linear(in_features: int, out_features: int, generator: Generator | None) -> nn.Linear:
    """A linear layer with weights from U(+-1 / sqrt(in_features)), without a generator zero, and zero bias."""
    layer = nn.utils.skip_init(nn.Linear, in_features, out_features)
    bound = 1 / math.sqrt(in_features)
    with torch.no_grad():
        _ = layer.weight.zero_() if generator is None else layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.zero_()
    return layer


class Cell(nn.Module, ABC):
    """A recurrent layer of H units: x (B, T, F) -> output (B, T, H), step by step or as a sequence."""

    in_features: int
    hidden: int

    @abstractmethod
    def initial_state(self, batch: int) -> Any:
        """The state before the first step, zero, of ``batch`` samples."""

    @abstractmethod
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One time step: x (B, F) and a state to the output (B, H) and the next state."""

    @abstractmethod
    def sequence(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """All steps of x (B, T, F) from ``state`` (zero if not given): the outputs (B, T, H) and the last state."""

    def constrain(self) -> None:
        """Bring parameters back into their ranges; called after each optimizer step."""


class SpikingCell(Cell):
    """What the spiking cells share: W, bias, V, the membrane's time constants, threshold and reset.

    Its outputs are spikes, 0 or 1. See `scan.neuron_step` for the equations.

    Args:
        in_features: F.
        hidden: H.
        recurrent: whether there is a V; without it ``recurrent`` is (H, 0), and no parameter.
        tau_u: range of the membrane's time constants, in steps.
        tau_w: range of the adaptation's; cells without adaptation pass it over.
        tau_i: range of the synaptic current's; cells without one pass it over.
        q: strength of the adaptation; likewise.
        rise: "leak", the drive enters times 1 - alpha, or "one".
        spiking: threshold, surrogate gradient and reset.
        generator: of the initial values.
    """

    order: ClassVar[str]
    implementation: str | None = None  # of the scan; None: the fastest that fits

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        recurrent: bool = True,
        tau_u: Bounds,
        tau_w: Bounds,
        tau_i: Bounds,
        q: float,
        rise: str,
        spiking: Spiking,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        self.in_features, self.hidden, self.rise, self.spiking = in_features, hidden, rise, spiking
        self.input = uniform_linear(in_features, hidden, generator)
        if recurrent:
            self.recurrent: Tensor = nn.Parameter(torch.zeros(hidden, hidden))
        else:
            self.register_buffer("recurrent", torch.zeros(hidden, 0), persistent=False)
        if recurrent and generator is not None:
            nn.init.orthogonal_(self.recurrent, generator=generator)
        self.tau_u = TimeConstant(hidden, tau_u, generator)
        self.tap = SpikeTap()
        self.register_load_state_dict_post_hook(_refuse_unstable)

    @abstractmethod
    def constants(self) -> NeuronConstants:
        """What the scan computes with, from the parameters."""

    @property
    def risen(self) -> Tensor | None:
        """What multiplies the drive, (H,); None: 1 - alpha."""
        return None if self.rise == "leak" else torch.ones_like(self.input.bias)

    def unstable(self) -> Tensor:
        """Which neurons' linear dynamics below the threshold grow without bound, (H,) bool."""
        return torch.zeros(self.hidden, dtype=torch.bool, device=self.recurrent.device)

    def initial_state(self, batch: int) -> NeuronState:
        """Zero potentials, adaptations and spikes, and refractory steps where there are some."""
        return NeuronState(
            *(self.recurrent.new_zeros(batch, self.hidden) for _ in range(4 if self.spiking.refractory else 3))
        )

    def step(self, x: Tensor, state: NeuronState) -> tuple[Tensor, NeuronState]:
        """One time step, see `Cell.step`."""
        _, state = neuron_step(self.order, self.input(x), self.constants(), state, self.spiking)
        return self.tap(state.z.unsqueeze(1)).squeeze(1), state

    def sequence(self, x: Tensor, state: NeuronState | None = None) -> tuple[Tensor, NeuronState]:
        """All time steps, see `Cell.sequence`."""
        trace = self.trace(x, state)
        return self.tap(trace.z), trace.state

    def trace(self, x: Tensor, state: NeuronState | None = None) -> NeuronTrace:
        """As `sequence`, with the traces of potentials and adaptations."""
        state = self.initial_state(len(x)) if state is None else state
        drive = self.input(x)
        return neuron_scan(self.order, drive, self.constants(), state, self.spiking, implementation=self.implementation)

    def constrain(self) -> None:
        """Bring the time constants back into their range."""
        self.tau_u.constrain()


class LIFCell(SpikingCell):
    """Leaky integrate-and-fire neurons, without adaptation."""

    order = "lif"

    def constants(self) -> NeuronConstants:
        """See `SpikingCell.constants`."""
        unused = self.recurrent.new_zeros(self.hidden)
        return NeuronConstants(self.recurrent, self.tau_u.decay(), unused, unused, unused, self.risen)


class CubaLIFCell(SpikingCell):
    """Leaky integrate-and-fire neurons behind a synaptic current, i = beta i' + W x + V z' + b."""

    order = "cuba"

    def __init__(self, in_features: int, hidden: int, *, generator: Generator | None, **settings: Any) -> None:
        super().__init__(in_features, hidden, generator=generator, **settings)
        self.tau_i = TimeConstant(hidden, settings["tau_i"], generator)

    def constants(self) -> NeuronConstants:
        """See `SpikingCell.constants`."""
        unused = self.recurrent.new_zeros(self.hidden)
        return NeuronConstants(self.recurrent, self.tau_u.decay(), self.tau_i.decay(), unused, unused, self.risen)

    def constrain(self) -> None:
        """Bring the time constants back into their ranges."""
        super().constrain()
        self.tau_i.constrain()


class AdaptiveCell(SpikingCell):
    """Neurons with an adaptation w, driven by potential (a, in [0, 1]) and spikes (b, in [0, 2])."""

    def __init__(self, in_features: int, hidden: int, *, generator: Generator | None, **settings: Any) -> None:
        super().__init__(in_features, hidden, generator=generator, **settings)
        self.q = float(settings["q"])
        self.tau_w = TimeConstant(hidden, settings["tau_w"], generator)
        self.a = nn.Parameter(LARGEST_A * uniform((hidden,), generator))
        self.b = nn.Parameter(LARGEST_B * uniform((hidden,), generator))

    def constants(self) -> NeuronConstants:
        """See `SpikingCell.constants`."""
        beta = self.tau_w.decay()
        gain = (1 - beta) * self.q
        decay = self.tau_u.decay()
        return NeuronConstants(self.recurrent, decay, beta, gain * self.a, gain * self.b, self.risen)

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring time constants, a and b back into their ranges."""
        super().constrain()
        self.tau_w.constrain()
        self.a.clamp_(0, LARGEST_A)
        self.b.clamp_(0, LARGEST_B)

    def _feedback(self) -> tuple[Tensor, Tensor, Tensor]:
        """k = (1 - alpha) (1 - beta) q a, alpha and beta, in float64; the first with rise in place of 1 - alpha."""
        _, alpha, beta, coupling, _ = (tensor.detach().double() for tensor in self.constants()[:5])
        return (1 - alpha if self.rise == "leak" else 1) * coupling, alpha, beta


class SEAdLIFCell(AdaptiveCell):
    """Symplectic Euler: the adaptation sees the potential and the spike of its own step."""

    order = "se"

    def unstable(self) -> Tensor:
        """k >= (1 + alpha) (1 + beta)."""
        k, alpha, beta = self._feedback()
        return k >= (1 + alpha) * (1 + beta)


class EFAdLIFCell(AdaptiveCell):
    """Euler forward: the adaptation sees the potential and the spike of the step before."""

    order = "ef"

    def unstable(self) -> Tensor:
        """k >= 1 - alpha beta."""
        k, alpha, beta = self._feedback()
        return k >= 1 - alpha * beta


def _refuse_unstable(cell: SpikingCell, _: Any) -> None:
    """Refuse loaded parameters with which the potential would grow without bound."""
    count = int(cell.unstable().sum())
    if count:
        raise PumiceError(
            f"{count} of {cell.hidden} {type(cell).__name__} neurons are unstable with these weights: their feedback "
            "(1 - alpha) (1 - beta) q a is above the limit; lower q or raise tau_w"
        )
