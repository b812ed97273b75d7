"""Which float value every node of a program of S5 stands for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...program import Program
from ...program.nodes import DiagonalSSM
from ...train.data.inputs import Inputs
from ..qat_model import EQUALIZED
from ..tracing import STATE
from .formats import GATE_NAMES
from .model import Events, FrozenModelOfEvents, QuantEventClassifier
from .observe import observe, observed

AROUND = (*GATE_NAMES, "linear", "skip", "total")
"""Values that are called as their nodes are."""


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
    def __init__(self, kept: _Kept, path: str, reads: str, behind: Iterable[str]) -> None:
        names = {"u": reads, "output": f"{path}/out"} | {name: f"{path}/{name}" for name in (*behind, *AROUND)}
        self.edges = {edge: kept.collector(node) for edge, node in names.items()}
        self.states = kept.collector(f"{path}/ssm{STATE}")


class _Network:
    def __init__(self, kept: _Kept, program: Program, behind: Iterable[str]) -> None:
        names = {"input": "dense", "embedded": "encoder", "readout": "readout"}
        self.edges = {edge: kept.collector(node) for edge, node in names.items()}
        spaces = [node for node in program if isinstance(node, DiagonalSSM)]
        self.layers = [_Layer(kept, node.name.removesuffix("/ssm"), node.inputs[0], behind) for node in spaces]


def float_values(
    kind: type[QuantEventClassifier[Events, FrozenModelOfEvents]], model: Events, program: Program, inputs: Inputs
) -> dict[str, NDArray[np.float64]]:
    """What the float model holds where ``program`` has a node, for one sample as a batch of one.

    Args:
        kind: of its QAT models.
        model: the float model; its modes are counted as the program's are.
        program: lowered from it.
        inputs: of the sample.

    Returns:
        (events at the node's rate, channels) by node; states of a DiagonalSSM, real then imaginary, under
        ``<name>:state``; the last value of the read-out and the decoder, (1, channels).
    """
    kept, output = _Kept(), kind.output_of(model)
    model.double().eval()
    if program.provenance.get(EQUALIZED):
        kind.equalize(model, [node.input_width for node in program if isinstance(node, DiagonalSSM)])
    layers = observed(kind.folds(model), kind.geometries(model), model.layers)
    shown = _Network(kept, program, output.shown)
    logits = observe(model, layers, output, shown, *inputs.events(), all_time=kind.all_time)
    tokens, _, lengths, _ = inputs.events()
    values = dict(kept)
    if model.config.token_input:  # observe shows the whole table there
        values["embedding"] = values.pop("encoder")[tokens[0, : int(lengths[0])].numpy()]
    said = logits.double().numpy()
    values["decoder"] = said if said.ndim == 2 else said[0]
    if program.series is not None:
        values[program.logits] = values["decoder"][-1:]
        values.pop("readout")
    return values
