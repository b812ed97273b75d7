"""The one forward pass of quantized networks: the QAT model and the frozen model differ in their weights alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout, linear

from ...program.formats import Format
from ...program.nodes import SPIKES
from ..frozen import Trace
from ..scan import NeuronCodes, quantized_integrator_scan, quantized_neuron_scan
from ..straight_through import codes, quantize_input
from .derive import INPUT, READOUT, cell_name
from .formats import CellFormats


@dataclass(frozen=True, eq=False)
class QuantizedCell:
    """Quantized weights of one layer of H neurons, as values.

    Attributes:
        order: "se", "ef" or "lif".
        formats: of its edges and states.
        input, bias: (H, F), (H,).
        codes: V, threshold and constants.
        slope, scale: of the surrogate gradient.
    """

    order: str
    formats: CellFormats
    input: Tensor
    bias: Tensor
    codes: NeuronCodes
    slope: float = 5.0
    scale: float = 0.4


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
    network: QuantizedNetwork, inputs: Tensor, training: bool = False, trace: Trace | None = None
) -> Tensor:
    """The potentials (B, T, C) of the read-out for inputs (B, T, F).

    With ``trace`` the integer codes of every node are kept there, (B, T, channels); states, u and then w, under
    ``<name>:state``.

    Raises:
        PumiceError: input that is not finite.
    """

    def record(name: str, format: Format, value: Callable[[], Tensor]) -> None:
        if trace is not None:
            trace[name] = codes(value(), format)

    x = quantize_input(inputs, network.input, network.weight.dtype)
    record(INPUT, network.input, lambda: x)
    for number, cell in enumerate(network.cells):
        z = _run_cell(cell, x, cell_name(number), trace)
        record(cell_name(number), SPIKES, lambda: z)  # noqa: B023 (called at once)
        x = dropout(z, network.dropout, training)
    drive = linear(x, network.weight, network.bias)
    potentials = quantized_integrator_scan(drive, network.decay, network.readout).potentials
    record(READOUT, network.readout, lambda: potentials)
    return potentials


def _run_cell(cell: QuantizedCell, x: Tensor, name: str, trace: Trace | None) -> Tensor:
    formats = cell.formats
    drive = linear(x, cell.input, cell.bias)
    found = quantized_neuron_scan(
        cell.order, drive, cell.codes, formats.potential, formats.adaptation, slope=cell.slope, scale=cell.scale
    )
    if trace is not None:
        states = [codes(found.u_pre * (1 - found.z), formats.potential)]
        if formats.adaptation is not None:
            states.append(codes(found.w, formats.adaptation))
        trace[f"{name}:state"] = torch.cat(states, dim=2)
    return found.z
