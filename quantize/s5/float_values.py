"""Which float value every node of a program of S5 stands for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.s5.classifier import EventClassifier
from ...program import Program
from ...program.nodes import DiagonalSSM
from ...train.data.inputs import Inputs
from ..output import Output
from ..tracing import STATE
from .observe import observe

EDGES = {"u": "norm", "output": "out"}
"""Nodes that are called otherwise than their values."""


class _Kept(dict[str, NDArray[np.float64]]):
    """Collects what ``observe`` shows of one sample, by node."""

    def collector(self, name: str) -> _Collector:
        return _Collector(self, name)


class _Collector:
    def __init__(self, kept: _Kept, name: str) -> None:
        self._kept, self._name = kept, name

    def update(self, x: Tensor) -> None:
        """Keep the first showing: what is shown again belongs to a sum on the way."""
        self._kept.setdefault(self._name, x.detach().double().cpu().numpy())


class _Layer:
    def __init__(self, kept: _Kept, path: str, behind: Iterable[str]) -> None:
        names = ("u", *behind, "skip", "output")
        self.edges = {edge: kept.collector(f"{path}/{EDGES.get(edge, edge)}") for edge in names}
        self.states = kept.collector(f"{path}/ssm{STATE}")


class _Network:
    def __init__(self, kept: _Kept, program: Program, behind: Iterable[str]) -> None:
        names = {"input": "dense", "embedded": "encoder", "readout": "readout"}
        self.edges = {edge: kept.collector(node) for edge, node in names.items()}
        paths = [node.name.removesuffix("/ssm") for node in program if isinstance(node, DiagonalSSM)]
        self.layers = [_Layer(kept, path, behind) for path in paths]


def float_values(
    model: EventClassifier[Any], output: Output[Any], program: Program, inputs: Inputs
) -> dict[str, NDArray[np.float64]]:
    """What the float model holds where ``program`` has a node, for one sample as a batch of one.

    Returns:
        (events at the node's rate, channels) by node; states of a DiagonalSSM, real then imaginary, under
        ``<name>:state``; the last value of the read-out and the decoder, (1, channels).
    """
    kept = _Kept()
    tokens, dt, lengths, pool_dt = inputs.events()
    with torch.no_grad():
        logits = observe(
            model.double().eval(), output, _Network(kept, program, output.shown), tokens, dt, lengths, pool_dt
        )
    values = dict(kept)
    if model.config.token_input:  # observe shows the whole table there
        values["embedding"] = values.pop("encoder")[tokens[0, : int(lengths[0])].numpy()]
    values["decoder"] = logits.double().numpy()
    return values
