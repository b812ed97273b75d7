"""Event pools and read-outs of whole samples."""

from __future__ import annotations

import numpy as np

from .....program.nodes import GAP_FORMAT, EventPool, Readout
from ...arithmetic import FLOAT32_LIMIT, rounded_divide
from ..arithmetic import DOUBLE, quotient, saturate
from .event import WholeEvents

_INT64 = np.dtype(np.int64)


def write_event_pool(event: WholeEvents, node: EventPool) -> str:
    """One row a complete window; rows behind the last one mean nothing."""
    graph = event.graph
    value, *weights = event.inputs_of(node)
    if node.name in event.edges:
        return event.edges[node.name]
    if node.format.magnitude * node.window >= FLOAT32_LIMIT:
        value = event.as_double(value)
    windows = event.apart(value, node.window, node.size)
    bound = node.format.min * node.window, node.format.max * node.window
    if node.mode in ("first", "last"):
        place = graph.constant(0 if node.mode == "first" else node.window - 1, np.int64)
        found = graph.op("Gather", windows, place, dtype=graph.dtypes[value], axis=1)
    else:
        found = total = _sum(event, windows, 1)
        if node.mode == "time":
            weight = event.apart(weights[0], node.window, 1)
            weighted = _sum(event, graph.op("Mul", graph.cast(windows, np.int64), weight), 1)
            weight = _sum(event, weight, 1)
            zero = graph.op("Equal", weight, graph.like(0, weight))
            numerator = graph.op("Where", zero, graph.cast(total, np.int64), weighted)
            denominator = graph.op("Where", zero, graph.like(node.window, weight), weight)
            found = graph.cast(rounded_divide(graph, numerator, denominator), DOUBLE)
        elif node.divides:
            found = quotient(graph, graph.cast(total, DOUBLE), graph.constant(node.window, DOUBLE))
        if node.format != GAP_FORMAT:
            found = saturate(graph, found, bound, node.output)
    shape = graph.constant([-1, node.size], np.int64)
    return graph.op("Reshape", found, shape, dtype=graph.dtypes[found])


def write_readout(event: WholeEvents, node: Readout) -> None:
    """What it holds after the last event, as its states in a step model."""
    graph, program = event.graph, event.program
    value, rate = event.as_double(event.edges[node.inputs[0]]), program.rates[node.inputs[0]]
    if node.mode == "last":
        graph.scope = "clock"
        count = graph.op("Div", event.counts, graph.constant(rate, np.int64))
        some = graph.op("Greater", count, graph.constant(0, np.int64))
        place = graph.op("Mul", graph.cast(some, _INT64), graph.op("Sub", count, graph.constant(1, np.int64)))
        row, there = event.flat(place), graph.op("Reshape", some, graph.constant([-1, 1], np.int64), dtype=bool)
        graph.scope = node.name
        last = graph.op("Gather", value, row, dtype=DOUBLE, axis=0)
        event.after[f"{node.name}/last"] = graph.op("Where", there, last, graph.constant(0, DOUBLE))
        return
    live = graph.op("Unsqueeze", event.live(rate), event.number(2), dtype=bool)
    values = event.apart(value, node.size)
    masked = graph.op("Mul", values, graph.cast(live, DOUBLE))
    event.after[f"{node.name}/sum"] = graph.cast(_sum(event, masked, 0), _INT64)
    if node.mode == "time":
        ones, weights = graph.cast(live, _INT64), event.apart(event.edges[node.inputs[1]], 1)
        weighted = graph.op("Mul", graph.cast(masked, _INT64), weights)
        event.after[f"{node.name}/weighted"] = _sum(event, weighted, 0)
        passed, passing = event.apart(event.edges[node.inputs[2]], 1), program.rates[node.inputs[2]]
        if passing != rate:
            ones = graph.op("Unsqueeze", event.live(passing), event.number(2), dtype=bool)
            ones = graph.cast(ones, _INT64)
        event.after[f"{node.name}/weight"] = _sum(event, graph.op("Mul", passed, ones), 0)


def _sum(event: WholeEvents, tensor: str, axis: int) -> str:
    graph = event.graph
    return graph.op("ReduceSum", tensor, event.number(axis), dtype=graph.dtypes[tensor], keepdims=0)
