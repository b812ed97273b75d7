"""The one forward pass for Loihi: the QAT model and the frozen model differ in their weights alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout, linear

from ...program.formats import Format
from ..frozen import Trace
from ..straight_through import codes, quantize_input
from .layer import QuantizedLayer
from .scan import loihi_scan

INPUT, OUTPUT, LOGITS = "dense", "output", "logits"
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
    network: QuantizedNetwork, inputs: Tensor, training: bool = False, trace: Trace | None = None
) -> Tensor:
    """The spikes (B, T, C) of the output layer for inputs (B, T, F).

    With ``trace`` the integer codes of every node are kept there, (B, T, channels); states, u and then v, under
    ``<name>:state``.

    Raises:
        PumiceError: input that is not finite.
    """
    z = quantize_input(inputs, network.input, network.layers[OUTPUT].weight.dtype)
    if trace is not None:
        trace[INPUT] = codes(z, network.input)
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
        if trace is not None:
            trace[name] = z.detach().to(torch.int64)
            after = found.v * (1 - z)
            trace[f"{name}:state"] = torch.cat([found.u, after], dim=2).detach().to(torch.int64)
    return z
