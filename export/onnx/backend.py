"""onnxruntime as a backend of the comparison."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from ...program import Program
from ...program.nodes import QUERY, TRACED, Node
from ...program.samples import Sample, Trace
from ...terminal import track
from .dialect import Dialect
from .doubles import DOUBLES
from .event import BEFORE
from .feed import feed
from .sequence import build_sequence
from .session import Session


def run_onnx(
    program: Program, samples: Sequence[Sample], trace: bool, batch_size: int = 32, dialect: Dialect = DOUBLES
) -> list[Trace]:
    """A backend for comparisons: the sequence model, traced at every edge before the read-out and at every state.

    Saturations and clipped gaps are not counted.
    """
    edges = [node.name for node in program if program.rates[node.name] != QUERY and not node.is_input]
    states = {node.name: [BEFORE + part for part in _state_parts(node)] for node in program if _state_parts(node)}
    names = [*edges, *itertools.chain(*states.values())] if trace else []
    session = Session(build_sequence(program, trace=names, dialect=dialect).SerializeToString())
    traces = []
    for start in track(range(0, len(samples), batch_size), "onnxruntime, batches"):
        inputs = feed(program, samples[start : start + batch_size])
        found = session.run(inputs)
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
    slowest = max(program.rates[node.inputs[0]] for node in program.read_outs)
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
    traced = [state.name for state in node.states() if state.seen == TRACED]
    return [f"{node.name}/{name}" if name else node.name for name in traced]
