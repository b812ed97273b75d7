"""Nodes with a state: the state-space node, pooling, read-outs. Their states are float32, as gaps are integers."""

from __future__ import annotations

import numpy as np

from ....program.nodes import GAP_FORMAT, EventPool, Node, Readout
from ..arithmetic import at_least, at_most
from ..dialect import Updater, Writer
from ..event import Carried, ProgramEvent
from ..integer import windows as exact_pool
from .quantize import quantize, real

_FLOAT = np.dtype(np.float32)


def update_event_pool(event: ProgramEvent, node: EventPool, rate: int) -> None:
    """Take in an event of the input's rate. Each window's first event starts the sums anew."""
    if node.format == GAP_FORMAT:
        exact_pool.update_event_pool(event, node, rate)
        return
    if event.program.rates[node.inputs[0]] != rate or node.mode == "last":
        return
    graph = event.graph
    value, *weights = event.inputs_of(node)
    first = event.first(rate, node.window)

    def collect(name: str, value: str, channels: int) -> None:
        old = event.open(Carried(f"{node.name}/{name}", (channels,), _FLOAT))
        later = old if name == "first" else graph.op("Where", event.valid(rate), graph.op("Add", old, value), old)
        event.set(f"{node.name}/{name}", graph.op("Where", first, value, later))

    collect("first" if node.mode == "first" else "sum", value, node.size)
    if node.mode == "time":
        weight = graph.cast(weights[0], _FLOAT)
        collect("weighted", graph.op("Mul", value, weight), node.size)
        collect("weight", weight, 1)


def read_event_pool(event: ProgramEvent, node: EventPool) -> str:
    """The value of a complete window."""
    graph = event.graph
    if node.format == GAP_FORMAT:
        return exact_pool.read_event_pool(event, node)
    if node.mode == "last":
        return event.inputs_of(node)[0]
    if node.mode == "first":
        return event.after[f"{node.name}/first"]
    total = event.after[f"{node.name}/sum"]
    if node.mode == "sum":
        return quantize(graph, total, node.output)
    mean = graph.op("Mul", total, real(graph, 1 / node.window))
    if node.mode == "time":
        mean = _weighted_mean(event, node.name, mean)
    return quantize(graph, mean, node.output)


def update_readout(event: ProgramEvent, node: Readout, rate: int) -> None:
    """Take in an event of the values' rate; time passes at the rate of the third input."""
    graph = event.graph

    def store(name: str, new: str, channels: int, add: bool) -> None:
        old = event.open(Carried(f"{node.name}/{name}", (channels,), _FLOAT))
        event.keep_unless_valid(f"{node.name}/{name}", graph.op("Add", old, new) if add else new, rate)

    if node.mode == "time" and event.program.rates[node.inputs[2]] == rate:
        store("weight", graph.cast(event.edges[node.inputs[2]], _FLOAT), 1, add=True)
    if event.program.rates[node.inputs[0]] != rate:
        return
    value = event.edges[node.inputs[0]]
    if node.mode in ("mean", "time"):
        store("sum", value, node.size, add=True)
    if node.mode == "time":
        weight = graph.cast(event.edges[node.inputs[1]], _FLOAT)
        store("weighted", graph.op("Mul", value, weight), node.size, add=True)
    if node.mode == "last":
        store("last", value, node.size, add=False)
    if node.mode == "forget":
        old = event.open(Carried(f"{node.name}/forget", (node.size,), _FLOAT))
        step = graph.op("Mul", graph.op("Sub", value, old), real(graph, 2.0**-node.decay_shift))
        count = event.count(rate)
        first = graph.op("Equal", count, graph.like(1, count))
        moved = graph.op("Where", first, value, graph.op("Add", old, step))
        event.keep_unless_valid(f"{node.name}/forget", moved, rate)
    if node.mode == "window":
        old = event.open(Carried(f"{node.name}/window", (node.window, node.size), _FLOAT))
        edges = [graph.constant([edge], np.int64) for edge in (1, node.window, 1)]
        rest = graph.op("Slice", old, *edges, dtype=_FLOAT)
        moved = graph.op("Concat", rest, graph.op("Unsqueeze", value, edges[0], dtype=_FLOAT), axis=1)
        flag = graph.op("Unsqueeze", event.valid(rate), graph.constant([2], np.int64), dtype=bool)
        event.set(f"{node.name}/window", graph.op("Where", flag, moved, old))


def read_readout(event: ProgramEvent, node: Readout) -> str:
    """The value of the events so far: (B, size)."""
    graph = event.graph
    if node.mode in ("last", "forget"):
        return quantize(graph, event.after[f"{node.name}/{node.mode}"], node.output)
    count = at_least(graph, event.count(event.program.rates[node.inputs[0]]), 1)
    if node.mode == "window":
        ring = event.after[f"{node.name}/window"]
        total = graph.op("ReduceSum", ring, graph.constant([1], np.int64), dtype=_FLOAT, keepdims=0)
        count = at_most(graph, count, node.window)
    else:
        total = event.after[f"{node.name}/sum"]
    mean = graph.op("Div", total, graph.cast(count, _FLOAT))
    if node.mode == "time":
        mean = _weighted_mean(event, node.name, mean)
    return quantize(graph, mean, node.output)


def _weighted_mean(event: ProgramEvent, name: str, mean: str) -> str:
    """Weighted sum over weight; ``mean`` where the weight is 0."""
    graph = event.graph
    weight = event.after[f"{name}/weight"]
    zero = graph.op("Equal", weight, graph.like(0, weight))
    divisor = graph.op("Where", zero, graph.like(1, weight), weight)
    return graph.op("Where", zero, mean, graph.op("Div", event.after[f"{name}/weighted"], divisor))


WRITERS: dict[type[Node], Writer] = {EventPool: read_event_pool, Readout: read_readout}
UPDATERS: dict[type[Node], Updater] = {EventPool: update_event_pool, Readout: update_readout}
