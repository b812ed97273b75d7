"""One time step of a layer of spiking neurons: what every scan computes; and the scan in torch, for any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from .surrogate import spike

Change = Callable[[Tensor], Tensor]

RESETS = ("zero", "subtract", "late-zero", "late-subtract")
"""What a spike does to its neuron's potential: all or the threshold is taken away, at once or at the next step."""

LATE_RESETS = {"late-zero": "zero", "late-subtract": "subtract"}
"""Those at the next step, and the same at once. Before a refractory step both give the same spikes, of neurons without
adaptation.
"""

MOST_REFRACTORY = 255
"""Steps for which a spike may hold its neuron."""


class NeuronConstants(NamedTuple):
    """What a layer of H neurons computes with; every tensor may require a gradient.

    Attributes:
        recurrent: V (H, H), from the column's neuron to the row's; (H, 0) without recurrence.
        alpha: (H,) decay of the membrane potential.
        beta: (H,) decay of the adaptation, or with order "cuba" of the synaptic current; unused with order "lif".
        coupling: (H,) (1 - beta) q a, from potential to adaptation; unused without one, as is the next.
        jump: (H,) (1 - beta) q b, from spike to adaptation.
        rise: (H,) what multiplies the drive, without a gradient; None: 1 - alpha.
    """

    recurrent: Tensor
    alpha: Tensor
    beta: Tensor
    coupling: Tensor
    jump: Tensor
    rise: Tensor | None = None

    @property
    def risen(self) -> Tensor:
        """What multiplies the drive, (H,)."""
        return 1 - self.alpha if self.rise is None else self.rise


class NeuronState(NamedTuple):
    """State of a layer after a step: membrane potential after the reset, adaptation or synaptic current, spikes,
    refractory steps that are left; each (B, H). None of the last is 0 of all.
    """

    u: Tensor
    w: Tensor
    z: Tensor
    c: Tensor | None = None

    @property
    def left(self) -> Tensor:
        """``c``, zeros where there is none."""
        return torch.zeros_like(self.u) if self.c is None else self.c


class Spiking(NamedTuple):
    """When a neuron spikes, how that is differentiated, see `surrogate`, what it does to the potential, and for how
    many steps that is held afterwards, with resets at once alone.
    """

    threshold: float = 1.0
    slope: float = 5.0
    scale: float = 0.4
    reset: str = "zero"
    refractory: int = 0

    @property
    def surrogate(self) -> tuple[float, float, float]:
        """Threshold, slope and scale."""
        return self[:3]


def remaining(u_pre: Tensor, z: Tensor, reset: str, threshold: float | Tensor) -> Tensor:
    """What is kept of the potential u^ after the step, where z are its spikes."""
    if reset == "zero":
        return u_pre * (1 - z)
    return u_pre - threshold * z if reset == "subtract" else u_pre


def _as_it_is(x: Tensor) -> Tensor:
    return x


def neuron_step(
    order: str, drive: Tensor, constants: NeuronConstants, state: NeuronState, spiking: Spiking
) -> tuple[Tensor, NeuronState]:
    """One time step (Baronig et al. 2024, eqs. 6 to 12; the reset and the gradient of their released training).

        I  = drive + V z'          primed: the step before
        u^ = alpha u' + (1 - alpha) (I - w')          rise in place of 1 - alpha, where it is given
        z  = [u^ > threshold]
        u  = u^ (1 - z)            no gradient through this z
        SE: w = beta w' + coupling u  + jump z
        EF: w = beta w' + coupling u' + jump z'
        LIF: w = w' = 0
        CUBA: w = beta w' + I, and u^ = alpha u' + (1 - alpha) w

    That is the reset "zero". "subtract": u = u^ - threshold z. Late ones leave u = u^, and act on u^ of the next step:
    "late-zero" makes it 0 where z' is 1, "late-subtract" takes threshold z' away. For ``refractory`` steps after a
    spike u^ = u' and z = 0; w goes on.

    Args:
        order: "se", "ef", "lif" or "cuba".
        drive: (B, H), W x + bias.
        constants: of the layer.
        state: before the step.
        spiking: threshold and surrogate.

    Returns:
        u^ (B, H) and the state after the step.
    """
    current = drive + linear(state.z, constants.recurrent) if constants.recurrent.shape[1] else drive
    spikes = (spiking.reset, spiking.threshold, spiking.refractory)
    return update(order, current, constants, state, lambda u_pre: spike(u_pre, *spiking.surrogate), spikes)


def update(
    order: str,
    current: Tensor,
    constants: NeuronConstants,
    state: NeuronState,
    fire: Change,
    resetting: tuple[str, float | Tensor, int],
    store_potential: Change = _as_it_is,
    store_adaptation: Change = _as_it_is,
) -> tuple[Tensor, NeuronState]:
    """What `neuron_step` does with I (B, H).

    ``fire`` tells the spikes of u^; ``resetting`` is the reset, the threshold and the refractory steps; u^ and w are
    what their stores leave.
    """
    _, alpha, beta, coupling, jump, _ = constants
    reset, threshold, refractory = resetting
    w, c = state.w, state.c
    if order == "cuba":
        current = w = store_adaptation(beta * w + current)
    elif order != "lif":
        current = current - w
    v = alpha * state.u + constants.risen * current
    if reset == "late-zero":
        v = v * (1 - state.z.detach())
    elif reset == "late-subtract":
        v = v - threshold * state.z.detach()
    if refractory:
        held = state.left > 0
        u_pre = torch.where(held, state.u, store_potential(torch.where(held, state.u, v)))
        z = torch.where(held, 0.0, fire(u_pre))
        c = torch.where(z.detach() > 0, refractory, (state.left - 1).clamp(min=0))
    else:
        u_pre = store_potential(v)
        z = fire(u_pre)
    u = remaining(u_pre, z.detach(), reset, threshold)
    if order == "se":
        w = store_adaptation(beta * w + coupling * u + jump * z)
    elif order == "ef":
        w = store_adaptation(beta * w + coupling * state.u + jump * state.z)
    return u_pre, NeuronState(u, w, z, c)


def unroll(
    drive: Tensor, state: NeuronState, step: Callable[[Tensor, NeuronState], tuple[Tensor, NeuronState]]
) -> tuple[Tensor, ...]:
    """``step`` over the drive (B, T, H): spikes, u, w and c after the last step, and the traces of u^ and w."""
    spikes, potentials, adaptations = [], [], []
    for drive_t in drive.unbind(1):
        u_pre, state = step(drive_t, state)
        spikes.append(state.z)
        potentials.append(u_pre.detach())
        adaptations.append(state.w.detach())
    if not spikes:
        return drive, state.u, state.w, state.left, drive.detach(), drive.detach()
    return torch.stack(spikes, 1), state.u, state.w, state.left, torch.stack(potentials, 1), torch.stack(adaptations, 1)
