"""Event pooling."""

from __future__ import annotations

import numpy as np

from ....quantize.program.bounds import register
from ....quantize.program.nodes import GAP_FORMAT, EventPool
from ..arithmetic import accumulator_dtype, edge_dtype, rounded_divide, saturate
from ..event import EventGraph, State


def update_event_pool(event: EventGraph, node: EventPool, rate: int) -> None:
    """Take in an event of the input's rate. Each window's first event starts the sums anew."""
    if event.program.rates[node.inputs[0]] != rate:
        return
    graph = event.graph
    value, *weights = event.inputs_of(node)
    first = event.first(rate, node.window)

    def collect(name: str, value: str, channels: int) -> None:
        value = graph.cast(value, _dtype(node))
        old = event.open(State(f"{node.name}/{name}", (channels,), _dtype(node)))
        later = old if name == "first" else graph.op("Where", event.valid(rate), graph.op("Add", old, value), old)
        event.set(f"{node.name}/{name}", graph.op("Where", first, value, later))

    collect("first" if node.mode == "first" else "sum", value, node.size)
    if node.mode == "time":
        collect("weighted", graph.op("Mul", graph.cast(value, np.int64), weights[0]), node.size)
        collect("weight", weights[0], 1)


def read_event_pool(event: EventGraph, node: EventPool) -> str:
    """The value of a complete window."""
    graph = event.graph
    if node.mode == "first":
        return event.after[f"{node.name}/first"]
    total = event.after[f"{node.name}/sum"]
    if not node.divides:
        return saturate(graph, total, node.output)
    numerator, denominator = total, graph.like(node.window, total)
    if node.mode == "time":
        weight = event.after[f"{node.name}/weight"]
        zero = graph.op("Equal", weight, graph.like(0, weight))
        numerator = graph.op("Where", zero, total, event.after[f"{node.name}/weighted"])
        denominator = graph.op("Where", zero, denominator, weight)
    return saturate(graph, rounded_divide(graph, numerator, denominator), node.output)


def _dtype(node: EventPool) -> np.dtype:
    if node.mode == "first":
        return edge_dtype(node.output)
    if node.mode == "time" or node.format == GAP_FORMAT:
        return np.dtype(np.int64)
    return accumulator_dtype(register(max(node.bounds().values())))
