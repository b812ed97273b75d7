"""`neuron_scan`: the recurrence of a layer of spiking neurons over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import PumiceError
from .kernels import neuron_scan_numba
from .step import NeuronConstants, NeuronState, Spiking, neuron_step

ORDERS = ("lif", "ef", "se")


class NeuronTrace(NamedTuple):
    """What a scan gives: spikes (B, T, H) and the last state, with gradients; and traces (B, T, H) without.

    ``u_pre`` is the membrane potential before the reset, ``w`` the adaptation after each step.
    """

    z: Tensor
    state: NeuronState
    u_pre: Tensor
    w: Tensor


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
