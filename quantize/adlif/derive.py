"""The nodes of a program from folded weights, formats and exponents, in float64, once.

Freezing calls this; the frozen model and the lowered program hold what it returns and compute nothing anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...models.scan.neuron_step import Spiking
from ...program.formats import Format, smallest_dtype
from ...program.nodes import LIF, SPIKES, AdaptiveLIF, CubaLIF, LeakyIntegrator, Neurons, Readout
from ..codes import Floats, accumulator_codes, weight_codes
from ..config import Widths
from ..nodes import LOGITS, readout_node
from ..spiking import READOUT
from .codes import cell_codes, decay_codes, threshold_codes
from .fold import FoldedCell, FoldedReadout
from .formats import CellFormats, CellFracs, ReadoutFracs


def cell_node(
    name: str,
    edge: str,
    order: str,
    folded: FoldedCell[Floats],
    spiking: Spiking,
    formats: CellFormats,
    fracs: CellFracs,
    widths: Widths,
) -> Neurons:
    """A layer of neurons.

    Args:
        name: of the node.
        edge: what it reads.
        order: "se", "ef", "lif" or "cuba".
        folded: its weights, float64 arrays.
        spiking: its threshold, reset and refractory steps.
        formats: of its edges and states.
        fracs: exponents of its weights and constants.
        widths: bits of its weights and constants.

    Raises:
        ProgramError: unstable neurons, or an intermediate that does not fit; names the node.
    """
    u = formats.potential
    stored = smallest_dtype(widths.constant)
    constants: dict[str, Any] = {}
    for what, codes in cell_codes(folded, order, fracs, widths.constant).items():
        constants |= {what: codes.astype(stored), f"{what}_frac": fracs.constants[what]}
    accumulator = np.maximum(fracs.input + formats.input.frac, fracs.recurrent)
    shared = {
        "name": name,
        "inputs": (edge,),
        "output": SPIKES,
        "format": formats.input,
        "input": weight_codes(folded.input, fracs.input, widths.synapses),
        "input_width": widths.synapses,
        "input_frac": fracs.input.astype(np.int16),
        "recurrent": weight_codes(folded.recurrent, fracs.recurrent, widths.synapses),
        "recurrent_width": widths.synapses,
        "recurrent_frac": fracs.recurrent.astype(np.int16),
        "bias": accumulator_codes(folded.bias, accumulator),
        "potential": u,
        "threshold": threshold_codes(spiking.threshold, u, len(folded.bias)),
        "constant_width": widths.constant,
        **constants,
        "reset": spiking.reset,
        "refractory": spiking.refractory,
    }
    if formats.adaptation is None:
        return LIF(**shared)
    if order == "cuba":
        return CubaLIF(**shared, synapse=formats.adaptation)
    return AdaptiveLIF(**shared, order=order, adaptation=formats.adaptation)


def integrator_node(
    edge: str, folded: FoldedReadout[Floats], output: Format, fracs: ReadoutFracs, widths: Widths
) -> LeakyIntegrator:
    """The leaky integrators that read spikes out."""
    accumulator = np.maximum(fracs.weight + SPIKES.frac, fracs.decay + output.frac)
    return LeakyIntegrator(
        name=READOUT,
        inputs=(edge,),
        output=output,
        format=SPIKES,
        weight=weight_codes(folded.weight, fracs.weight, widths.decoder),
        weight_width=widths.decoder,
        weight_frac=fracs.weight.astype(np.int16),
        bias=accumulator_codes(folded.bias, accumulator),
        decay=decay_codes(folded.decay, fracs.decay, widths.constant).astype(smallest_dtype(widths.constant)),
        decay_width=widths.constant,
        decay_frac=fracs.decay,
    )


def logits_node(potentials: Format, size: int) -> Readout:
    """The potentials after the last step."""
    return readout_node(LOGITS, (READOUT,), potentials, potentials, size, "last")
