"""The step model: one event of a batch, states in and states out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from ...errors import PumiceError
from ...program import Program
from .dialect import Dialect, write_event, write_query
from .doubles import DOUBLES
from .event import AFTER
from .graph import Graph
from .model import finish_program
from .opset import LOWEST, check_opset


def build_step(
    program: Program,
    trace: Sequence[str] = (),
    *,
    dialect: Dialect = DOUBLES,
    branches: bool = True,
    opset: int | None = None,
) -> onnx.ModelProto:
    """One event of a batch of live streams, by default in whole numbers of float64.

    Inputs: ``token`` (B,) int64 or ``value`` (B, d) int32 codes; each gap input of the program by its node's name,
    (B,) int64 (``program/clock.py``); ``valid`` (B,) bool, an event that is not valid changes nothing; and the states,
    zeros at the start of a stream: ``state/codes`` (B, N) int32 and ``state/sums`` (B, S) int64, or with
    ``dialect=INTEGER`` each by its name, ``state/<name>`` (B, ...). Outputs: ``logits`` (B, C), the running value;
    ``next/...`` of every state; and ``trace/<edge>`` (B, channels) for the edges named in ``trace``.

    Args:
        program: what to write.
        trace: edges to give as outputs.
        dialect: how its nodes are written.
        branches: skip pooled layers between windows by ``If``; False for a graph without control flow.
        opset: of ONNX's operators, 16 to 21; None for the lowest that the graph needs.

    Raises:
        PumiceError: a node type has no writer, ``trace`` names what the program lacks, or ``opset`` an operation.
    """
    check_opset(opset)
    graph = Graph("step", opset=opset or LOWEST)
    event = dialect.event(graph, program, trace, branches=branches)
    event.begin(graph.input("valid", np.bool_, ["batch"]))
    write_event(event, dialect)
    logits = write_query(event, dialect)
    graph.output(event.integers(logits, program[program.logits].output), "logits", ["batch", len(program.class_names)])
    for state in event.states:
        graph.output(event.after[state.name], AFTER + state.name, ["batch", *state.shape])
    for edge in trace:
        if edge not in event.edges:
            raise PumiceError(f"the program has no edge {edge!r} to trace; name one of its nodes")
        graph.output(
            event.integers(event.edges[edge], program[edge].output), f"trace/{edge}", ["batch", program[edge].channels]
        )
    doc = f"One event of a batch of streams, states in and states out: {dialect.doc}"
    return finish_program(graph, program, doc, dialect.arithmetic, opset, event.layout)
