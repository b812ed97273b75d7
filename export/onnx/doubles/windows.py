"""Writers of event pools and read-outs: states that events change, and values read from them at any time."""

from __future__ import annotations

import numpy as np

from ....program import Program
from ....program.nodes import GAP_FORMAT, DiagonalSSM, EventPool, Node, Readout
from ..arithmetic import at_least, at_most, rounded_divide
from ..dialect import Updater, Writer
from ..event import Carried, ProgramEvent
from .arithmetic import DOUBLE, floor_half_up, quotient, saturate
from .packed import PackedEvent, held
from .ssm import read

_INT64 = np.dtype(np.int64)


def update_event_pool(event: PackedEvent, node: EventPool, rate: int) -> None:
    """Take in an event of the input's rate. Each window's first event starts the sums anew."""
    if event.program.rates[node.inputs[0]] != rate or node.mode == "last":
        return
    graph = event.graph
    value, *weights = event.inputs_of(node)
    starts = event.starts(rate, node.window)

    def collect(name: str, value: str, channels: int, dtype: np.dtype) -> None:
        value = graph.cast(value, dtype)
        old = event.open(Carried(f"{node.name}/{name}", (channels,), dtype))
        if name == "first":
            new = graph.op("Where", starts, value, old)
        else:
            goes_on = graph.cast(event.goes_on(rate, node.window), dtype)
            new = graph.op("Add", graph.op("Mul", old, goes_on), value)
        event.set(f"{node.name}/{name}", new)

    joined = _joined(event.program, node)
    if len(joined) > 1:
        if node is joined[-1]:
            _sum_together(event, joined, rate)
        return
    width = node.states()[0].width  # or that of a state, of 32 bits at most
    collect("first" if node.mode == "first" else "sum", value, node.size, held(width))
    if node.mode == "time":
        collect("weighted", graph.op("Mul", graph.cast(value, np.int64), weights[0]), node.size, _INT64)
        collect("weight", weights[0], 1, _INT64)


def _joined(program: Program, node: EventPool) -> list[EventPool]:
    """The pools that sum codes over the same windows as ``node``, in the program's order, if it is one of them."""

    def key(pool: EventPool) -> tuple[int, int]:
        return program.rates[pool.inputs[0]], pool.window

    def sums(pool: EventPool) -> bool:
        return pool.mode in ("mean", "sum") and held(pool.states()[0].width) == DOUBLE

    return [pool for pool in program.of_type(EventPool) if key(pool) == key(node) and sums(pool)] if sums(node) else []


def _sum_together(event: PackedEvent, pools: list[EventPool], rate: int) -> None:
    """One sum of all; where tokens tell all values, they are rows of one table."""
    graph, edges = event.graph, [pool.inputs[0] for pool in pools]
    if event.tables.keys() >= set(edges):
        value = event.look_up(np.concatenate([event.tables[edge] for edge in edges], axis=1), DOUBLE)
    else:
        value = graph.op("Concat", *(graph.cast(event.edges[edge], DOUBLE) for edge in edges), axis=1)
    parts = tuple((f"{pool.name}/sum", pool.size) for pool in pools)
    state = Carried(f"{pools[0].name}/sums", (sum(pool.size for pool in pools),), DOUBLE, parts)
    goes_on = graph.cast(event.goes_on(rate, pools[0].window), DOUBLE)
    event.set(state.name, graph.op("Add", graph.op("Mul", event.open(state), goes_on), value))


def _sum_of(event: PackedEvent, node: EventPool) -> str:
    """What a pool has summed; of several that sum together, all are taken apart where the first is asked for."""
    name, graph = f"{node.name}/sum", event.graph
    joined = _joined(event.program, node)
    if len(joined) > 1 and name not in event.after:
        names = [f"{pool.name}/sum" for pool in joined]
        parts, sizes = [graph.fresh("sum") for _ in joined], [pool.size for pool in joined]
        whole = event.after[f"{joined[0].name}/sums"]
        lengths = graph.constant(sizes, np.int64)
        graph.ops("Split", whole, lengths, outputs=parts, dtypes=[DOUBLE] * len(parts), axis=1)
        event.after |= dict(zip(names, parts, strict=True))
    return event.after[name]


def read_event_pool(event: PackedEvent, node: EventPool) -> str:
    """The value of a complete window."""
    graph = event.graph
    if node.mode == "last":
        return event.inputs_of(node)[0]
    if node.mode == "first":
        value = event.after[f"{node.name}/first"]
        states = [source for source in event.program.of_type(DiagonalSSM) if node.inputs[0] == source.name]
        return read(graph, states[0], value) if states and event.reads_late(states[0]) else value
    total = _sum_of(event, node)
    if node.format == GAP_FORMAT:
        return total
    bound = node.format.min * node.window, node.format.max * node.window
    if not node.divides:
        return saturate(graph, graph.cast(total, DOUBLE), bound, node.output)
    if node.mode == "mean":
        found = quotient(graph, graph.cast(total, DOUBLE), graph.constant(node.window, DOUBLE))
        return saturate(graph, found, bound, node.output)
    weight = event.after[f"{node.name}/weight"]
    zero = graph.op("Equal", weight, graph.like(0, weight))
    total = graph.cast(total, np.int64)
    numerator = graph.op("Where", zero, total, event.after[f"{node.name}/weighted"])
    denominator = graph.op("Where", zero, graph.like(node.window, weight), weight)
    return saturate(graph, graph.cast(rounded_divide(graph, numerator, denominator), DOUBLE), bound, node.output)


def update_readout(event: PackedEvent, node: Readout, rate: int) -> None:
    """Take in an event of the values' rate; time passes at the rate of the third input."""
    graph = event.graph

    def accumulate(name: str, term: str, channels: int) -> None:
        old = event.open(Carried(f"{node.name}/{name}", (channels,), _INT64))
        event.set(f"{node.name}/{name}", graph.op("Add", old, graph.cast(term, _INT64)))

    if node.mode == "time" and event.program.rates[node.inputs[2]] == rate:
        accumulate("weight", event.edges[node.inputs[2]], 1)
    if event.program.rates[node.inputs[0]] != rate:
        return
    value = event.edges[node.inputs[0]]
    if node.mode in ("mean", "time"):
        accumulate("sum", value, node.size)
    if node.mode == "time":
        accumulate("weighted", graph.op("Mul", graph.cast(value, _INT64), event.edges[node.inputs[1]]), node.size)
    if node.mode == "last" and not _repeats(event, node):
        dtype = held(node.format.width)
        event.open(Carried(f"{node.name}/last", (node.size,), dtype))
        event.set(f"{node.name}/last", graph.cast(value, dtype))
    if node.mode == "forget":
        _forget(event, node, value, rate)
    if node.mode == "window":
        old = event.open(Carried(f"{node.name}/window", (node.window * node.size,), held(node.format.width)))
        edges = [graph.constant([edge], np.int64) for edge in (node.size, node.window * node.size, 1)]
        rest = graph.op("Slice", old, *edges, dtype=graph.dtypes[old])
        value = graph.cast(value, graph.dtypes[old])
        moved = value if node.window == 1 else graph.op("Concat", rest, value, axis=1)
        event.set(f"{node.name}/window", moved)


def read_readout(event: ProgramEvent, node: Readout) -> str:
    """The value of the events so far: (B, size)."""
    graph = event.graph
    if node.mode in ("last", "forget"):
        source = node.inputs[0]
        last = event.final(source if _repeats(event, node) else f"{node.name}/{node.mode}")
        last = graph.cast(last, DOUBLE)
        raised = floor_half_up(graph, last, -node.extra_bits if node.mode == "last" else 0)
        return saturate(graph, raised, node.format.magnitude << node.extra_bits, node.output)
    denominator = event.count(event.program.rates[node.inputs[0]])
    if node.mode == "window":
        shape = graph.constant([-1, node.window, node.size], np.int64)
        ring = graph.cast(event.final(f"{node.name}/window"), np.int64)
        ring = graph.op("Reshape", ring, shape, dtype=_INT64)
        numerator = graph.op("ReduceSum", ring, graph.constant([1], np.int64), dtype=_INT64, keepdims=0)
        denominator = at_most(graph, denominator, node.window)
    else:
        numerator = event.final(f"{node.name}/sum")
    if node.mode == "time":
        weight = event.final(f"{node.name}/weight")
        zero = graph.op("Equal", weight, graph.like(0, weight))
        numerator = graph.op("Where", zero, numerator, event.final(f"{node.name}/weighted"))
        denominator = graph.op("Where", zero, denominator, weight)
    raised = numerator
    if node.extra_bits:
        raised = graph.op("Mul", numerator, graph.like(1 << node.extra_bits, numerator))
    value = rounded_divide(graph, raised, at_least(graph, denominator, 1))
    bound = node.format.magnitude << node.extra_bits
    return saturate(graph, graph.cast(value, DOUBLE), bound, node.output)


def _repeats(event: ProgramEvent, node: Readout) -> bool:
    """Whether the edge that it reads is a state that begins at 0, as potentials are, so that no other is needed."""
    return node.mode == "last" and event.repeats(node.inputs[0])


def _forget(event: PackedEvent, node: Readout, value: str, rate: int) -> None:
    graph, width = event.graph, node.states()[0].width
    old = event.open(Carried(f"{node.name}/forget", (node.size,), held(width)))
    target = floor_half_up(graph, graph.cast(value, DOUBLE), -node.extra_bits)
    now = graph.cast(old, DOUBLE)
    step = floor_half_up(graph, graph.op("Sub", target, now), node.decay_shift)
    count = event.counted(rate)
    first = graph.op("Equal", count, graph.like(1, count))
    new = graph.op("Where", first, target, graph.op("Add", now, step))
    event.set(f"{node.name}/forget", graph.cast(new, held(width)))


WRITERS: dict[type[Node], Writer] = {EventPool: read_event_pool, Readout: read_readout}
UPDATERS: dict[type[Node], Updater] = {EventPool: update_event_pool, Readout: update_readout}
