"""Event pooling."""

from __future__ import annotations

import numpy as np

from ....quantize.program.bounds import register
from ....quantize.program.nodes import GAP_FORMAT, EventPool
from ..arithmetic import accumulator_dtype, rounded_divide, saturate
from ..event import EventGraph, State


def write_event_pool(event: EventGraph, node: EventPool) -> str:
    """The window's value so far; consumers take it where the pooled rate is valid."""
    graph = event.graph
    value, *weights = event.inputs_of(node)
    if node.mode == "first":
        return _accumulate(event, node, "first", value, graph.dtypes[value], add=False)
    wide = node.mode == "time" or node.format == GAP_FORMAT
    dtype = accumulator_dtype("i64" if wide else register(max(node.bounds().values())))
    total = _accumulate(event, node, "sum", value, dtype)
    if not node.divides:
        return saturate(graph, total, node.output)
    numerator, denominator = total, graph.like(node.window, total)
    if node.mode == "time":
        product = graph.op("Mul", graph.cast(value, dtype), weights[0])
        weighted = _accumulate(event, node, "weighted", product, dtype)
        weight = _accumulate(event, node, "weight", weights[0], dtype)
        zero = graph.op("Equal", weight, graph.like(0, weight))
        numerator = graph.op("Where", zero, total, weighted)
        denominator = graph.op("Where", zero, denominator, weight)
    return saturate(graph, rounded_divide(graph, numerator, denominator), node.output)


def _accumulate(event: EventGraph, node: EventPool, name: str, value: str, dtype: np.dtype, add: bool = True) -> str:
    """A state that restarts with ``value`` at each window's first event, and adds (or keeps) it at the others."""
    graph = event.graph
    rate = event.program.rates[node.inputs[0]]
    value = graph.cast(value, dtype)
    old = event.open(State(f"{node.name}/{name}", (1 if name == "weight" else node.size,), dtype))
    later = graph.op("Where", event.valid(rate), graph.op("Add", old, value), old) if add else old
    return event.set(f"{node.name}/{name}", graph.op("Where", event.first(rate, node.window), value, later))
