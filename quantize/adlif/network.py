"""The one forward pass of quantized networks: the QAT model and the frozen model differ in their weights alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import dropout, linear

from ...models.scan.neuron_step import Spiking, remaining
from ...program.formats import Format
from ...program.nodes import SPIKES
from ..nodes import DENSE
from ..scan import NeuronCodes, quantized_integrator_scan, quantized_neuron_scan
from ..spiking import READOUT, cell_name
from ..straight_through import quantize_input
from ..tracing import NOTHING, Recorder
from .formats import CellFormats


@dataclass(frozen=True, eq=False)
class QuantizedCell:
    """Quantized weights of one layer of H neurons, as values.

    Attributes:
        order: "se", "ef", "lif" or "cuba".
        formats: of its edges and states.
        input, bias: (H, F), (H,).
        codes: V, threshold and constants.
        spiking: the reset, the refractory steps, and the surrogate gradient.
    """

    order: str
    formats: CellFormats
    input: Tensor
    bias: Tensor
    codes: NeuronCodes
    spiking: Spiking


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """Quantized weights of a network, as values.

    Attributes:
        input: format of the input.
        cells: by layer.
        weight, bias, decay: of the leaky integrators, (C, H), (C,), (C,).
        readout: format of their potentials.
        dropout: probability while training, of each spike that a layer passes on.
    """

    input: Format
    cells: tuple[QuantizedCell, ...]
    weight: Tensor
    bias: Tensor
    decay: Tensor
    readout: Format
    dropout: float = 0.0


def run_network(
    network: QuantizedNetwork, inputs: Tensor, training: bool = False, record: Recorder = NOTHING
) -> Tensor:
    """The potentials (B, T, C) of the read-out for inputs (B, T, F).

    ``record`` is shown every node and state, u and then w.

    Raises:
        PumiceError: input that is not finite.
    """
    x = quantize_input(inputs, network.input, network.weight.dtype)
    record(DENSE, x, network.input)
    for number, cell in enumerate(network.cells):
        z = _run_cell(cell, x, cell_name(number), record)
        record(cell_name(number), z, SPIKES)
        x = dropout(z, network.dropout, training)
    drive = linear(x, network.weight, network.bias)
    potentials = quantized_integrator_scan(drive, network.decay, network.readout).potentials
    record(READOUT, potentials, network.readout)
    return potentials


def _run_cell(cell: QuantizedCell, x: Tensor, name: str, record: Recorder) -> Tensor:
    formats = cell.formats
    drive = linear(x, cell.input, cell.bias)
    _, slope, scale, reset, refractory = cell.spiking
    found = quantized_neuron_scan(
        cell.order,
        drive,
        cell.codes,
        formats.potential,
        formats.adaptation,
        slope=slope,
        scale=scale,
        reset=reset,
        refractory=refractory,
    )
    states = [(remaining(found.u_pre, found.z, reset, cell.codes.threshold), formats.potential)]
    if formats.adaptation is not None:
        states.append((found.w, formats.adaptation))
    record.states(name, states)
    return found.z
