"""One time step of a layer of spiking neurons: what every scan computes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import linear

from .surrogate import spike


class NeuronConstants(NamedTuple):
    """What a layer of H neurons computes with; every tensor may require a gradient.

    Attributes:
        recurrent: V (H, H), from the column's neuron to the row's.
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
    recurrent, alpha, beta, coupling, jump = constants
    current = drive + linear(state.z, recurrent)
    if order != "lif":
        current = current - state.w
    u_pre = alpha * state.u + (1 - alpha) * current
    z = spike(u_pre, *spiking)
    u = u_pre * (1 - z.detach())
    w = state.w
    if order == "se":
        w = beta * w + coupling * u + jump * z
    elif order == "ef":
        w = beta * w + coupling * state.u + jump * state.z
    return u_pre, NeuronState(u, w, z)
