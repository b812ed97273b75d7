"""Dialects: how the nodes of a program are written, and the walk that writes them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from ...errors import BackendUnavailable, PumiceError
from ...program import Program, nodes
from ...program.nodes import Node
from .event import ANSWER, ProgramEvent

Writer = Callable[[Any, Any], str]
"""(the dialect's event, a node of its type): writes the node; gives the tensor of its edge."""

Updater = Callable[[Any, Any, int], None]
"""Writes what a node of its type collects at events of the rate given."""


@dataclass(frozen=True)
class Dialect:
    """How the nodes of a program are written.

    Attributes:
        doc: what a model of this dialect is.
        arithmetic: "exact" or "approximate".
        writers: of output edges, at the edge's rate, by node type.
        updaters: of what a node collects from events at the rate given, before it has an output.
        tables: of what depends on the token alone, written as look-ups.
        event: holds the tensors of an event.
        whole: the sequence model of a program, for an operator set, other than event by event; None where it has none.
    """

    doc: str
    arithmetic: str
    writers: Mapping[type[Node], Writer]
    updaters: Mapping[type[Node], Updater]
    tables: Callable[[Program], Mapping[str, np.ndarray]] = lambda program: {}
    event: type[ProgramEvent] = ProgramEvent
    whole: Callable[[Program, int | None], onnx.ModelProto | None] = lambda program, opset: None


def write_event(event: ProgramEvent, dialect: Dialect) -> None:
    """Everything that happens at an event: all nodes up to the read-outs, and their states.

    Nodes of pooled rates lie in nested branches, skipped while no sample of the batch has completed a window.

    Raises:
        BackendUnavailable: a node type has no writer.
        PumiceError: one pooled rate is no multiple of the other.
    """
    rates = sorted({rate for rate in event.program.rates.values() if rate != nodes.QUERY})
    for faster, slower in itertools.pairwise(rates):
        if slower % faster:
            raise PumiceError(f"windows of {faster} and {slower} events do not nest; ONNX needs strides in one chain")
    event.tables = dialect.tables(event.program)
    _write_rates(event, dialect, rates)
    event.close()


def write_query(event: ProgramEvent, dialect: Dialect) -> str:
    """Read-outs and what lies behind them, from the states after the event; gives the logits' tensor."""
    if event.answer is None:
        _write_readouts(event, dialect)
        return event.edges[event.program.logits]
    event.graph.scope = event.program.logits
    held = event.final(ANSWER)
    return event.graph.op("Add", held, event.graph.like(event.answer, held))


def _write_readouts(event: ProgramEvent, dialect: Dialect) -> None:
    for node in event.program:
        if event.program.rates[node.name] == nodes.QUERY:
            _write(event, dialect, node)


def _write_rates(event: ProgramEvent, dialect: Dialect, rates: Sequence[int]) -> None:
    rate, *slower = rates
    for node in event.program:
        if event.program.rates[node.name] == rate:
            _write(event, dialect, node)
        if type(node) in dialect.updaters:
            event.graph.scope = node.name
            dialect.updaters[type(node)](event, node, rate)
    if slower:
        with event.when(slower[0]):
            _write_rates(event, dialect, slower)
    elif event.answers_at(rate):
        with event.answering(rate):
            _write_readouts(event, dialect)


def _write(event: ProgramEvent, dialect: Dialect, node: Node) -> None:
    writer = dialect.writers.get(type(node))
    if writer is None:
        kind = type(node).__name__
        raise BackendUnavailable(f"node {node.name}: ONNX has no writer for {kind}; run it in the simulator")
    event.graph.scope = node.name
    if node.name in event.tables:
        event.edges[node.name] = event.look_up(event.tables[node.name], event.edge_dtype(node.output))
    else:
        event.edges[node.name] = writer(event, node)
