"""Whole samples in float64: what keeps no state runs over all events at once, states in Scans of a few operations."""

from __future__ import annotations

import numpy as np
import onnx

from .....program import Program
from .....program.nodes import (
    QUERY,
    DenseInput,
    DiagonalSSM,
    EventPool,
    GapInput,
    Node,
    Readout,
    TokenInput,
    ValueInput,
)
from ...dialect import Writer
from ...graph import Graph
from ...inputs import value_input
from ...integer.stateless import limit_gap
from ...model import finish_program
from ...opset import LOWEST
from ...tables import token_tables
from .. import stateless
from .. import windows as steps
from ..arithmetic import DOUBLE
from . import ssm, windows
from .chain import chain_of
from .event import WholeEvents
from .neurons import write_chain

_READ = ("mean", "time", "last")
"""Modes of read-outs that are written so."""


def is_known(program: Program) -> bool:
    """Whether every node of a program is written for whole samples; else the Scan over events is what there is."""
    known = set(_WRITERS)
    chain = chain_of(program)
    if chain is not None:
        known |= {type(node) for node in (*chain.layers, chain.readout)}
    rates = sorted({rate for rate in program.rates.values() if rate != QUERY})
    series = chain.readout.name if chain is not None else None
    return (
        all(type(node) in known for node in program)
        and all(node.mode in _READ for node in program.of_type(Readout))
        and all(not rates[-1] % rate for rate in rates)
        and program.series == series
    )


def build_whole(program: Program, opset: int | None) -> onnx.ModelProto | None:
    """The sequence model of a program that `is_known`."""
    if not is_known(program):
        return None
    graph = Graph("sequence", opset=opset or LOWEST)
    event = WholeEvents(graph, program)
    event.tables = token_tables(program)
    inputs = [program.value_input, *program.gap_inputs]
    for node in inputs:
        name, dtype = value_input(node) if node is program.value_input else (node.name, np.int64)
        graph.input(name, dtype, ["batch", "length", *([] if node is not program.value_input else node.event_shape)])
    event.begin(graph.input("valid", np.bool_, ["batch", "length"]))
    chain = chain_of(program)
    for node in program:
        graph.scope = node.name
        if chain is None or node not in (*chain.layers, chain.readout):
            event.edges[node.name] = _write(event, node)
        elif node is chain.readout:
            event.edges[node.name] = write_chain(event, chain, event.edges[chain.layers[0].inputs[0]])
    logits = event.integers(event.edges[program.logits], program[program.logits].output)
    graph.output(logits, "logits", ["batch", len(program.class_names)])
    if program.series is not None:
        output = program[program.series]
        graph.scope = output.name
        series = event.integers(event.as_given(event.series), output.output)
        graph.output(series, "series", ["batch", "length", output.channels])
    doc = "Whole samples, padded and marked by valid: a program in whole numbers of float64, exact in every bit"
    return finish_program(graph, program, doc, "exact", opset)


def _write_values(event: WholeEvents, node: ValueInput) -> str:
    graph, (name, _) = event.graph, value_input(node)
    if node.event_shape:
        return graph.cast(event.rows(name, node.channels), DOUBLE)
    event.token = event.rows(name, 0)
    return event.token


def _write_gap(event: WholeEvents, node: GapInput) -> str:
    """Gaps (T B, 1); 0 behind the last event."""
    graph = event.graph
    gap = graph.op("Mul", event.rows(node.name, 0), graph.cast(event.is_valid, np.int64))
    gap = graph.op("Unsqueeze", gap, graph.constant([1], np.int64), dtype=np.int64)
    return limit_gap(event, node, gap)


def _write_readout(event: WholeEvents, node: Readout) -> str:
    windows.write_readout(event, node)
    return steps.read_readout(event, node)


_WRITERS: dict[type[Node], Writer] = {
    **stateless.WRITERS,
    **dict.fromkeys((DenseInput, TokenInput), _write_values),
    GapInput: _write_gap,
    DiagonalSSM: ssm.write_diagonal_ssm,
    EventPool: windows.write_event_pool,
    Readout: _write_readout,
}


def _write(event: WholeEvents, node: Node) -> str:
    if node.name in event.tables:
        return event.look_up(event.tables[node.name], event.edge_dtype(node.output))
    return _WRITERS[type(node)](event, node)
