"""`neuron_scan`: the recurrence of a layer of spiking neurons over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from ...errors import PumiceError
from .kernels import neuron_scan_numba
from .surrogate import spike

ORDERS = ("lif", "ef", "se")


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


class NeuronTrace(NamedTuple):
    """What a scan gives: spikes (B, T, H) and the last state, with gradients; and traces (B, T, H) without.

    ``u_pre`` is the membrane potential before the reset, ``w`` the adaptation after each step.
    """

    z: Tensor
    state: NeuronState
    u_pre: Tensor
    w: Tensor


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


def neuron_scan(
    order: str,
    drive: Tensor,
    constants: NeuronConstants,
    state: NeuronState,
    spiking: Spiking,
    *,
    implementation: str | None = None,
) -> NeuronTrace:
    """Run :func:`neuron_step` over a sequence; gradients go to the drive, the constants and the state.

    Args:
        order: "se", "ef" or "lif".
        drive: (B, T, H), W x + bias at every step.
        constants: of the layer.
        state: before the first step.
        spiking: threshold and surrogate.
        implementation: "numba" (compiled, on the CPU), "torch" (any device), or None for the faster one that fits.

    Raises:
        PumiceError: an unknown order or implementation, or one that does not fit the tensors.
    """
    if order not in ORDERS:
        raise PumiceError(f"neuron order '{order}' is unknown; choose one of {', '.join(ORDERS)}")
    dtype = constants.recurrent.dtype
    compiled = drive.device.type == "cpu" and dtype in (torch.float32, torch.float64)
    if implementation is None:
        implementation = "numba" if compiled else "torch"
    drive = drive.to(dtype)
    if implementation == "torch":
        return _scan_torch(order, drive, constants, state, spiking)
    if implementation != "numba":
        raise PumiceError(f"neuron scan implementation '{implementation}' is unknown; choose torch or numba")
    if not compiled:
        raise PumiceError("the numba neuron scan takes float32 or float64 on the CPU; choose implementation 'torch'")
    z, u, w, u_pre, w_trace = neuron_scan_numba(ORDERS.index(order), drive, constants, state, spiking)
    last = z[:, -1] if drive.shape[1] else state.z
    return NeuronTrace(z, NeuronState(u, w, last), u_pre, w_trace)


def _scan_torch(
    order: str, drive: Tensor, constants: NeuronConstants, state: NeuronState, spiking: Spiking
) -> NeuronTrace:
    spikes, potentials, adaptations = [], [], []
    for drive_t in drive.unbind(1):
        u_pre, state = neuron_step(order, drive_t, constants, state, spiking)
        spikes.append(state.z)
        potentials.append(u_pre.detach())
        adaptations.append(state.w.detach())
    if not spikes:
        return NeuronTrace(drive, state, drive.detach(), drive.detach())
    return NeuronTrace(torch.stack(spikes, 1), state, torch.stack(potentials, 1), torch.stack(adaptations, 1))
