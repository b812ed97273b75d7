"""One time step of a layer of spiking neurons: what every scan computes; and the scan in torch, for any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from .surrogate import spike

Change = Callable[[Tensor], Tensor]


class NeuronConstants(NamedTuple):
    """What a layer of H neurons computes with; every tensor may require a gradient.

    Attributes:
        recurrent: V (H, H), from the column's neuron to the row's; (H, 0) without recurrence.
        alpha: (H,) decay of the membrane potential.
        beta: (H,) decay of the adaptation; unused with order "lif", as are the next two.
        coupling: (H,) (1 - beta) q a, from potential to adaptation.
        jump: (H,) (1 - beta) q b, from spike to adaptation.
    """

    recurrent: Tensor
    alpha: Tensor
    beta: Tensor
    coupling: Tensor
    jump: Tensor


class NeuronState(NamedTuple):
    """State of a layer after a step: membrane potential after the reset, adaptation, spikes; each (B, H)."""

    u: Tensor
    w: Tensor
    z: Tensor


class Spiking(NamedTuple):
    """When a neuron spikes and how that is differentiated, see `surrogate`."""

    threshold: float = 1.0
    slope: float = 5.0
    scale: float = 0.4


def _as_it_is(x: Tensor) -> Tensor:
    return x


def neuron_step(
    order: str, drive: Tensor, constants: NeuronConstants, state: NeuronState, spiking: Spiking
) -> tuple[Tensor, NeuronState]:
    """One time step (Baronig et al. 2024, eqs. 6 to 12; the reset and the gradient of their released training).

        I  = drive + V z'          primed: the step before
        u^ = alpha u' + (1 - alpha) (I - w')
        z  = [u^ > threshold]
        u  = u^ (1 - z)            no gradient through this z
        SE: w = beta w' + coupling u  + jump z
        EF: w = beta w' + coupling u' + jump z'
        LIF: w = w' = 0

    Args:
        order: "se", "ef" or "lif".
        drive: (B, H), W x + bias.
        constants: of the layer.
        state: before the step.
        spiking: threshold and surrogate.

    Returns:
        u^ (B, H) and the state after the step.
    """
    current = drive + linear(state.z, constants.recurrent) if constants.recurrent.shape[1] else drive
    return update(order, current, constants, state, lambda u_pre: spike(u_pre, *spiking))


def update(
    order: str,
    current: Tensor,
    constants: NeuronConstants,
    state: NeuronState,
    fire: Change,
    rise: Tensor | None = None,
    store_potential: Change = _as_it_is,
    store_adaptation: Change = _as_it_is,
) -> tuple[Tensor, NeuronState]:
    """What `neuron_step` does with I (B, H).

    ``fire`` tells the spikes of u^; ``rise`` (H,) stands for 1 - alpha; u^ and w are what their stores leave of them.
    """
    _, alpha, beta, coupling, jump = constants
    if order != "lif":
        current = current - state.w
    u_pre = store_potential(alpha * state.u + (1 - alpha if rise is None else rise) * current)
    z = fire(u_pre)
    u = u_pre * (1 - z.detach())
    w = state.w
    if order == "se":
        w = store_adaptation(beta * w + coupling * u + jump * z)
    elif order == "ef":
        w = store_adaptation(beta * w + coupling * state.u + jump * state.z)
    return u_pre, NeuronState(u, w, z)


def unroll(
    drive: Tensor, state: NeuronState, step: Callable[[Tensor, NeuronState], tuple[Tensor, NeuronState]]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """``step`` over the drive (B, T, H): spikes, u and w after the last step, and the traces of u^ and w."""
    spikes, potentials, adaptations = [], [], []
    for drive_t in drive.unbind(1):
        u_pre, state = step(drive_t, state)
        spikes.append(state.z)
        potentials.append(u_pre.detach())
        adaptations.append(state.w.detach())
    if not spikes:
        return drive, state.u, state.w, drive.detach(), drive.detach()
    return torch.stack(spikes, 1), state.u, state.w, torch.stack(potentials, 1), torch.stack(adaptations, 1)
