"""The one forward pass for Loihi: the QAT model and the frozen model differ in their weights alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import dropout, linear

from ...program.formats import Format
from ...program.nodes import SPIKES
from ...program.nodes.loihi import STATE_BITS
from ..nodes import DENSE
from ..straight_through import quantize_input
from ..tracing import NOTHING, Recorder
from .layer import QuantizedLayer
from .scan import loihi_scan

STATE = Format(STATE_BITS, True, 0)  # u and v
OUTPUT, LOGITS = "output", "logits"
GAIN = 20.0
"""Logits are this times the spikes a step, so that cross entropy can tell classes apart."""


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """Codes of a network.

    Attributes:
        input: format of the input.
        layers: by name, the output layer last.
        slope, scale: of the surrogate gradient.
        dropout: probability while training, of each spike that a layer passes on to the next.
    """

    input: Format
    layers: dict[str, QuantizedLayer]
    slope: float = 5.0
    scale: float = 0.4
    dropout: float = 0.0


def run_network(
    network: QuantizedNetwork, inputs: Tensor, training: bool = False, record: Recorder = NOTHING
) -> Tensor:
    """The spikes (B, T, C) of the output layer for inputs (B, T, F).

    ``record`` is shown every node and state, u and then v.

    Raises:
        PumiceError: input that is not finite.
    """
    z = quantize_input(inputs, network.input, network.layers[OUTPUT].weight.dtype)
    record(DENSE, z, network.input)
    for name, layer in network.layers.items():
        x = dropout(z, network.dropout, training) if name != next(iter(network.layers)) else z
        found = loihi_scan(
            linear(x, layer.weight),
            layer.recurrent,
            layer.bias,
            layer.dynamics,
            slope=network.slope,
            scale=network.scale,
        )
        z = found.z
        record(name, z, SPIKES)
        record.states(name, [(found.u, STATE), (found.v * (1 - z), STATE)])
    return z
