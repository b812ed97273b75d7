"""One writer a node type: emits the operations of one event on a batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import BackendUnavailable, PumiceError
from ....quantize.program import Program, nodes
from ....quantize.program.nodes import Node
from ..arithmetic import edge_dtype
from ..event import EventGraph
from ..tables import token_tables
from .inputs import write_input
from .linear import write_embedding, write_linear
from .neurons import write_leaky_integrator, write_neurons
from .norm import write_batch_norm, write_layer_norm
from .pointwise import write_add, write_lookup, write_multiply
from .pool import read_event_pool, update_event_pool
from .readout import read_readout, update_readout
from .ssm import write_diagonal_ssm

Writer = Callable[[EventGraph, Node], str]

Updater = Callable[[EventGraph, Node, int], None]


@dataclass(frozen=True)
class Family:
    """How the nodes of a program are written.

    Attributes:
        doc: what a model of this family is.
        arithmetic: "exact" or "approximate".
        writers: of output edges, at the edge's rate, by node type.
        updaters: of what a node collects from events at the rate given, before it has an output.
        tables: of what depends on the token alone, written as look-ups.
    """

    doc: str
    arithmetic: str
    writers: Mapping[type[Node], Writer]
    updaters: Mapping[type[Node], Updater]
    tables: Callable[[Program], Mapping[str, np.ndarray]] = lambda program: {}


_WRITERS: Mapping[type[Node], Writer] = {
    nodes.Embedding: write_embedding,
    nodes.Linear: write_linear,
    nodes.Lookup: write_lookup,
    nodes.Multiply: write_multiply,
    nodes.Add: write_add,
    nodes.BatchNorm: write_batch_norm,
    nodes.LayerNorm: write_layer_norm,
    nodes.DiagonalSSM: write_diagonal_ssm,
    nodes.LIF: write_neurons,
    nodes.AdaptiveLIF: write_neurons,
    nodes.LeakyIntegrator: write_leaky_integrator,
    nodes.EventPool: read_event_pool,
    nodes.Readout: read_readout,
    **dict.fromkeys(nodes.INPUT_NODES, write_input),
}
_UPDATERS: Mapping[type[Node], Updater] = {
    nodes.EventPool: update_event_pool,
    nodes.Readout: update_readout,
}

INTEGER = Family("a program in integer operators, exact in every bit", "exact", _WRITERS, _UPDATERS, token_tables)
"""The program's own arithmetic."""


def write_event(event: EventGraph, family: Family = INTEGER) -> None:
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
    event.tables = family.tables(event.program)
    _write_rates(event, family, rates)


def write_query(event: EventGraph, family: Family = INTEGER) -> str:
    """Read-outs and what lies behind them, from the states after the event; gives the logits' tensor."""
    for node in event.program:
        if event.program.rates[node.name] == nodes.QUERY:
            _write(event, family, node)
    return event.edges[event.program.logits]


def _write_rates(event: EventGraph, family: Family, rates: Sequence[int]) -> None:
    rate, *slower = rates
    for node in event.program:
        if event.program.rates[node.name] == rate:
            _write(event, family, node)
        if type(node) in family.updaters:
            event.graph.scope = node.name
            family.updaters[type(node)](event, node, rate)
    if slower:
        with event.when(slower[0]):
            _write_rates(event, family, slower)


def _write(event: EventGraph, family: Family, node: Node) -> None:
    writer = family.writers.get(type(node))
    if writer is None:
        kind = type(node).__name__
        raise BackendUnavailable(f"node {node.name}: ONNX has no writer for {kind}; run it in the simulator")
    event.graph.scope = node.name
    if node.name in event.tables:
        event.edges[node.name] = event.look_up(event.tables[node.name], edge_dtype(node.output))
    else:
        event.edges[node.name] = writer(event, node)
