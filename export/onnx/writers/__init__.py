"""One writer a node type: emits the operations of one event on a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ....errors import PumiceError
from ....quantize.program import nodes
from ....quantize.program.nodes import Node
from ..event import EventGraph
from .inputs import write_input
from .linear import write_embedding, write_linear
from .norm import write_batch_norm, write_layer_norm
from .pointwise import write_add, write_lookup, write_multiply
from .pool import write_event_pool
from .readout import read_readout, update_readout
from .ssm import write_diagonal_ssm

Writer = Callable[[EventGraph, Node], str]

WRITERS: Mapping[type[Node], Writer] = {
    nodes.Embedding: write_embedding,
    nodes.Linear: write_linear,
    nodes.Lookup: write_lookup,
    nodes.Multiply: write_multiply,
    nodes.Add: write_add,
    nodes.BatchNorm: write_batch_norm,
    nodes.LayerNorm: write_layer_norm,
    nodes.DiagonalSSM: write_diagonal_ssm,
    nodes.EventPool: write_event_pool,
}
"""Writers of the nodes that make an edge at every event; inputs and read-outs are written by their own functions."""


def write_event(event: EventGraph) -> None:
    """Everything that happens at an event: all nodes up to the read-outs, and their states.

    Raises:
        PumiceError: a node type has no writer.
    """
    for node in event.program:
        event.graph.scope = node.name
        if isinstance(node, nodes.INPUT_NODES):
            event.edges[node.name] = write_input(event, node)
        elif isinstance(node, nodes.Readout):
            update_readout(event, node)
        elif event.program.rates[node.name] != nodes.QUERY:
            event.edges[node.name] = _write(event, node)


def write_query(event: EventGraph) -> str:
    """Read-outs and what lies behind them, from the states after the event; gives the logits' tensor."""
    for node in event.program:
        event.graph.scope = node.name
        if isinstance(node, nodes.Readout):
            event.edges[node.name] = read_readout(event, node)
        elif event.program.rates[node.name] == nodes.QUERY:
            event.edges[node.name] = _write(event, node)
    return event.edges[event.program.logits]


def _write(event: EventGraph, node: Node) -> str:
    writer = WRITERS.get(type(node))
    if writer is None:
        raise PumiceError(f"node {node.name}: ONNX has no writer for {type(node).__name__}; run it in the simulator")
    return writer(event, node)
