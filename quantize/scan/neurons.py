"""`quantized_neuron_scan`: layers of LIF, CubaLIF and AdaptiveLIF nodes on floats, with a straight-through gradient."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ...errors import PumiceError
from ...models.scan.choice import choose
from ...models.scan.neuron_step import RESETS, NeuronState
from ...models.scan.neurons import ORDERS
from ...program.formats import Format
from .kernels.neurons import neuron_scan_numba
from .neuron_loop import NeuronCodes, neuron_loop

IMPLEMENTATIONS = {"numba": neuron_scan_numba, "torch": neuron_loop}


class QuantizedTrace(NamedTuple):
    """What a scan gives: spikes (B, T, H) and the last state, with gradients; the rest without.

    ``u_pre`` (B, T, H) is the membrane potential before the reset, ``w`` (B, T, H) the adaptation after each step,
    ``saturations`` (B,) int64 the stores of u^ and w that clipped, over all T steps.
    """

    z: Tensor
    state: NeuronState
    u_pre: Tensor
    w: Tensor
    saturations: Tensor


def quantized_neuron_scan(
    order: str,
    drive: Tensor,
    codes: NeuronCodes,
    potential: Format,
    adaptation: Format | None,
    state: NeuronState | None = None,
    *,
    slope: float = 5.0,
    scale: float = 0.4,
    reset: str = "zero",
    refractory: int = 0,
    implementation: str | None = None,
) -> QuantizedTrace:
    """Run the recurrence of `LIF`, `CubaLIF`, `AdaptiveLIF` over a batch (program/nodes/ has the equations).

    Everything is a value, not a code: u^ and I are multiples of ``potential.scale``, w of ``adaptation.scale``. In
    float64 the result is that of the integers, exactly; float32 is for training.

    Backward is straight-through: rounding has the gradient 1; a store passes no gradient where its result is the
    lowest or the highest code; spikes have that of `surrogate_slope`, and the reset passes none to them. Gradients go
    to the drive, V, alpha, rise, beta, coupling, jump and the state; rise is a constant of its own here.

    Args:
        order: "se", "ef", "lif" or "cuba".
        drive: (B, T, H), W x + bias at every step, not rounded.
        codes: of the layer.
        potential: format of u^, u and I.
        adaptation: format of w, or of the synaptic current; None with order "lif".
        state: before the first step, values of codes; zero if not given.
        slope: of the surrogate.
        scale: of the surrogate.
        reset: what a spike does to the potential.
        refractory: steps for which a spike holds its neuron, where the reset is at once.
        implementation: "numba" (compiled, on the CPU), "torch" (any device), or None for the faster one that fits.

    Raises:
        PumiceError: an unknown order, reset or implementation, or one that does not fit the tensors.
    """
    if order not in ORDERS:
        raise PumiceError(f"neuron order '{order}' is unknown; choose one of {', '.join(ORDERS)}")
    if reset not in RESETS:
        raise PumiceError(f"reset '{reset}' is unknown; choose one of {', '.join(RESETS)}")
    if adaptation is None and order != "lif":
        raise PumiceError(f"neurons of order '{order}' need the format of their second state")
    scan = choose(IMPLEMENTATIONS, implementation, drive.device.type == "cpu")
    codes = NeuronCodes(*(values.to(drive.dtype) for values in codes))
    if not codes.recurrent.shape[1]:  # the kernels add a column of V a spike
        codes = codes._replace(recurrent=drive.new_zeros(drive.shape[2], drive.shape[2]))
    zero = drive.new_zeros(drive.shape[0], drive.shape[2])
    state = NeuronState(zero, zero, zero) if state is None else state
    state = NeuronState(*(part.to(drive.dtype) for part in (state.u, state.w, state.z, state.left)))
    z, u, w, c, u_pre, w_trace, saturations = scan(
        order, drive, codes, state, potential, adaptation or potential, slope, scale, reset, refractory
    )
    last = z[:, -1] if drive.shape[1] else state.z
    return QuantizedTrace(z, NeuronState(u, w, last, c), u_pre, w_trace, saturations)
