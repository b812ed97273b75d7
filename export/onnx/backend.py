"""onnxruntime as a backend of the comparison."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from ...program import Program
from ...program.nodes import QUERY, AdaptiveLIF, DiagonalSSM, Neurons, Node, Readout
from ...program.samples import Sample, Trace
from .event import BEFORE
from .feed import feed
from .sequence import build_sequence
from .session import open_session


def run_onnx(program: Program, samples: Sequence[Sample], trace: bool, batch_size: int = 32) -> list[Trace]:
    """A backend for comparisons: the sequence model, traced at every edge before the read-out and at every state.

    Saturations and clipped gaps are not counted.
    """
    edges = [node.name for node in program if program.rates[node.name] != QUERY and not node.is_input]
    states = {node.name: [BEFORE + part for part in _state_parts(node)] for node in program if _state_parts(node)}
    names = [*edges, *itertools.chain(*states.values())] if trace else []
    session = open_session(build_sequence(program, trace=names))
    outputs = ["logits", *(["series"] if program.series else []), *(f"trace/{name}" for name in names)]
    traces = []
    for start in range(0, len(samples), batch_size):
        inputs = feed(program, samples[start : start + batch_size])
        found = dict(zip(outputs, session.run(outputs, inputs), strict=True))
        for row, length in enumerate(inputs["valid"].sum(axis=1)):
            rows = {name: array[row].astype(np.int64) for name, array in found.items()}
            traces.append(_trace_of(program, rows, int(length), edges if trace else [], states if trace else {}))
    return traces


def _trace_of(
    program: Program,
    outputs: Mapping[str, np.ndarray],
    length: int,
    edges: Sequence[str],
    states: Mapping[str, Sequence[str]],
) -> Trace:
    """One sample's outputs as a trace: the rows of its own events, at each node's rate."""
    slowest = max(program.rates[node.inputs[0]] for node in program if isinstance(node, Readout))
    result = Trace(outputs["logits"], length < slowest, {}, {})

    def events(output: str, node: str) -> np.ndarray:
        rate = program.rates[node]
        return outputs[output][:length][rate - 1 :: rate]

    if program.series is not None:
        result.series = events("series", program.series)
    result.values = {name: events(f"trace/{name}", name) for name in edges}
    for name, parts in states.items():
        result.states[name] = np.concatenate([events(f"trace/{part}", name) for part in parts], axis=1)
    return result


def _state_parts(node: Node) -> list[str]:
    """The model's states that, side by side, are what the reference traces as the node's state."""
    if isinstance(node, Neurons):
        return [f"{node.name}/{part}" for part in ("uw" if isinstance(node, AdaptiveLIF) else "u")]
    return [node.name] if isinstance(node, DiagonalSSM) else []
