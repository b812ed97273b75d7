"""Writers of event pools and read-outs: states that events change, and values read from them at any time."""

from __future__ import annotations

import numpy as np

from ....program.bounds import register
from ....program.nodes import GAP_FORMAT, EventPool, Node, Readout
from ..arithmetic import (
    accumulator_dtype,
    at_least,
    at_most,
    edge_dtype,
    rounded_divide,
    saturate,
    shift_half_up,
    shift_left,
)
from ..dialect import Updater, Writer
from ..event import Carried, ProgramEvent


def update_event_pool(event: ProgramEvent, node: EventPool, rate: int) -> None:
    """Take in an event of the input's rate. Each window's first event starts the sums anew."""
    if event.program.rates[node.inputs[0]] != rate or node.mode == "last":
        return
    graph = event.graph
    value, *weights = event.inputs_of(node)
    first = event.first(rate, node.window)

    def collect(name: str, value: str, channels: int) -> None:
        value = graph.cast(value, _dtype(node))
        old = event.open(Carried(f"{node.name}/{name}", (channels,), _dtype(node)))
        later = old if name == "first" else graph.op("Where", event.valid(rate), graph.op("Add", old, value), old)
        event.set(f"{node.name}/{name}", graph.op("Where", first, value, later))

    collect("first" if node.mode == "first" else "sum", value, node.size)
    if node.mode == "time":
        collect("weighted", graph.op("Mul", graph.cast(value, np.int64), weights[0]), node.size)
        collect("weight", weights[0], 1)


def read_event_pool(event: ProgramEvent, node: EventPool) -> str:
    """The value of a complete window."""
    graph = event.graph
    if node.mode == "last":
        return event.inputs_of(node)[0]
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


_INT64 = np.dtype(np.int64)


def _held_dtype(node: Readout) -> np.dtype:
    """The element type of a read-out's states and sums: int32 where a value, a window or a difference bounds them."""
    bounds = {**node.bounds(), "the value": node.format.magnitude << node.extra_bits}
    grows = node.mode in ("mean", "time")
    return _INT64 if grows else accumulator_dtype(register(max(bounds.values())))


def update_readout(event: ProgramEvent, node: Readout, rate: int) -> None:
    """Take in an event of the values' rate; time passes at the rate of the third input."""
    graph = event.graph

    def accumulate(name: str, term: str, channels: int) -> None:
        old = event.open(Carried(f"{node.name}/{name}", (channels,), _INT64))
        event.keep_unless_valid(f"{node.name}/{name}", graph.op("Add", old, graph.cast(term, _INT64)), rate)

    if node.mode == "time" and event.program.rates[node.inputs[2]] == rate:
        accumulate("weight", event.edges[node.inputs[2]], 1)
    if event.program.rates[node.inputs[0]] != rate:
        return
    value = graph.cast(event.edges[node.inputs[0]], _held_dtype(node))
    if node.mode in ("mean", "time"):
        accumulate("sum", value, node.size)
    if node.mode == "time":
        accumulate("weighted", graph.op("Mul", value, event.edges[node.inputs[1]]), node.size)
    if node.mode == "last":
        event.open(Carried(f"{node.name}/last", (node.size,), _held_dtype(node)))
        event.keep_unless_valid(f"{node.name}/last", value, rate)
    if node.mode == "forget":
        _forget(event, node, value, rate)
    if node.mode == "window":
        _shift_in(event, node, value, rate)


def read_readout(event: ProgramEvent, node: Readout) -> str:
    """The value of the events so far: (B, size)."""
    graph = event.graph
    if node.mode == "forget":
        return saturate(graph, event.after[f"{node.name}/forget"], node.output)
    if node.mode == "last":
        last = shift_left(graph, event.after[f"{node.name}/last"], node.extra_bits)
        return saturate(graph, last, node.output)
    denominator = event.count(event.program.rates[node.inputs[0]])
    if node.mode == "window":
        ring = event.after[f"{node.name}/window"]
        numerator = graph.op("ReduceSum", ring, graph.constant([1], np.int64), dtype=graph.dtypes[ring], keepdims=0)
        denominator = graph.cast(at_most(graph, denominator, node.window), graph.dtypes[ring])
    else:
        numerator = event.after[f"{node.name}/sum"]
    if node.mode == "time":
        weight = event.after[f"{node.name}/weight"]
        zero = graph.op("Equal", weight, graph.like(0, weight))
        numerator = graph.op("Where", zero, numerator, event.after[f"{node.name}/weighted"])
        denominator = graph.op("Where", zero, denominator, weight)
    quotient = rounded_divide(graph, shift_left(graph, numerator, node.extra_bits), at_least(graph, denominator, 1))
    return saturate(graph, quotient, node.output)


def _forget(event: ProgramEvent, node: Readout, value: str, rate: int) -> None:
    graph = event.graph
    old = event.open(Carried(f"{node.name}/forget", (node.size,), _held_dtype(node)))
    target = shift_left(graph, value, node.extra_bits)
    step = shift_half_up(graph, graph.op("Sub", target, old), node.decay_shift)
    count = event.count(rate)
    first = graph.op("Equal", count, graph.like(1, count))
    event.keep_unless_valid(f"{node.name}/forget", graph.op("Where", first, target, graph.op("Add", old, step)), rate)


def _shift_in(event: ProgramEvent, node: Readout, value: str, rate: int) -> None:
    graph = event.graph
    dtype = _held_dtype(node)
    old = event.open(Carried(f"{node.name}/window", (node.window, node.size), dtype))
    edges = [graph.constant([edge], np.int64) for edge in (1, node.window, 1)]
    rest = graph.op("Slice", old, *edges, dtype=dtype)
    moved = graph.op("Concat", rest, graph.op("Unsqueeze", value, edges[0], dtype=dtype), axis=1)
    flag = graph.op("Unsqueeze", event.valid(rate), graph.constant([2], np.int64), dtype=bool)
    event.set(f"{node.name}/window", graph.op("Where", flag, moved, old))


WRITERS: dict[type[Node], Writer] = {EventPool: read_event_pool, Readout: read_readout}
UPDATERS: dict[type[Node], Updater] = {EventPool: update_event_pool, Readout: update_readout}
