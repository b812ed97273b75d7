"""`neuron_scan`: the recurrence of a layer of spiking neurons over a whole sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import PumiceError
from .choice import choose
from .kernels.neurons import ORDERS, neuron_scan_numba
from .neuron_step import RESETS, NeuronConstants, NeuronState, Spiking, neuron_step, unroll


def neuron_scan_torch(
    order: str, drive: Tensor, constants: NeuronConstants, state: NeuronState, spiking: Spiking
) -> tuple[Tensor, ...]:
    """The same as `neuron_scan_numba`, step by step."""
    return unroll(drive, state, lambda drive_t, before: neuron_step(order, drive_t, constants, before, spiking))


IMPLEMENTATIONS = {"numba": neuron_scan_numba, "torch": neuron_scan_torch}


class NeuronTrace(NamedTuple):
    """What a scan gives: spikes (B, T, H) and the last state, with gradients; and traces (B, T, H) without.

    ``u_pre`` is the membrane potential before the reset, ``w`` the adaptation, or the synaptic current,
    after each step.
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
        order: "se", "ef", "lif" or "cuba".
        drive: (B, T, H), W x + bias at every step.
        constants: of the layer.
        state: before the first step.
        spiking: threshold and surrogate.
        implementation: "numba" (compiled, on the CPU), "torch" (any device), or None for the faster one that fits.

    Raises:
        PumiceError: an unknown order, reset or implementation, or one that does not fit the tensors.
    """
    if order not in ORDERS:
        raise PumiceError(f"neuron order '{order}' is unknown; choose one of {', '.join(ORDERS)}")
    if spiking.reset not in RESETS:
        raise PumiceError(f"reset '{spiking.reset}' is unknown; choose one of {', '.join(RESETS)}")
    dtype = constants.recurrent.dtype
    compiled = drive.device.type == "cpu" and dtype in (torch.float32, torch.float64)
    scan = choose(IMPLEMENTATIONS, implementation, compiled, "float32 or float64 on the CPU")
    drive = drive.to(dtype)
    if not constants.recurrent.shape[1]:  # the kernels add a column of V a spike
        constants = constants._replace(recurrent=drive.new_zeros(drive.shape[2], drive.shape[2]))
    z, u, w, c, u_pre, w_trace = scan(order, drive, constants, state._replace(c=state.left), spiking)
    last = z[:, -1] if drive.shape[1] else state.z
    return NeuronTrace(z, NeuronState(u, w, last, c if spiking.refractory else None), u_pre, w_trace)
