"""The one forward pass of the twin for Loihi: fine-tuning and the frozen twin differ in their constants alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout, linear

from ...program.formats import Format
from ..straight_through import codes, quantize_input
from ..twin import Trace
from .layer import LayerConstants
from .scan import loihi_scan

INPUT, OUTPUT, LOGITS = "dense", "output", "logits"
GAIN = 20.0
"""Logits are this times the spikes a step, so that cross entropy can tell classes apart."""


@dataclass(frozen=True, eq=False)
class NetworkConstants:
    """Codes of a network.

    Attributes:
        input: format of the input.
        layers: by name, the output layer last.
        slope, scale: of the surrogate gradient.
        dropout: probability while training, of each spike that a layer passes on to the next.
    """

    input: Format
    layers: dict[str, LayerConstants]
    slope: float = 5.0
    scale: float = 0.4
    dropout: float = 0.0


def run_network(
    constants: NetworkConstants, inputs: Tensor, training: bool = False, trace: Trace | None = None
) -> Tensor:
    """The spikes (B, T, C) of the output layer for inputs (B, T, F).

    With ``trace`` the integer codes of every node are kept there, (B, T, channels); states, u and then v, under
    ``<name>:state``.

    Raises:
        PumiceError: input that is not finite.
    """
    z = quantize_input(inputs, constants.input, constants.layers[OUTPUT].weight.dtype)
    if trace is not None:
        trace[INPUT] = codes(z, constants.input)
    for name, layer in constants.layers.items():
        x = dropout(z, constants.dropout, training) if name != next(iter(constants.layers)) else z
        found = loihi_scan(
            linear(x, layer.weight),
            layer.recurrent,
            layer.bias,
            layer.dynamics,
            slope=constants.slope,
            scale=constants.scale,
        )
        z = found.z
        if trace is not None:
            trace[name] = z.detach().to(torch.int64)
            after = found.v * (1 - z)
            trace[f"{name}:state"] = torch.cat([found.u, after], dim=2).detach().to(torch.int64)
    return z
