"""The state-space node over whole samples: a Scan over decay steps, and nothing else inside.

An event becomes as many steps as its gap has binary digits that are set, or one, so that no step is taken for a digit
that is not; a sample with fewer steps than another ends in steps that change nothing.
"""

from __future__ import annotations

import numpy as np

from .....program.nodes import DiagonalSSM
from ...tables import DRIVE
from ..arithmetic import DOUBLE
from ..packed import first_pool
from ..ssm import decay_step, digit_tables, drive, read, store
from .event import WholeEvents

_INT64 = np.dtype(np.int64)


def write_diagonal_ssm(event: WholeEvents, node: DiagonalSSM) -> str:
    """The codes that are read after every event, or where only a pool of first events reads them, after those."""
    graph, rate = event.graph, event.program.rates[node.inputs[0]]
    value, gap = event.inputs_of(node)
    table, number = _drives(event, node, value)
    graph.scope = "clock"
    live, zero, one = graph.cast(event.live(rate), _INT64), graph.constant(0, _INT64), graph.constant(1, _INT64)
    gaps = graph.op("Reshape", gap, graph.op("Shape", live, dtype=_INT64), dtype=_INT64)
    longest = graph.constant(node.max_gap, _INT64)
    ticks = graph.op("Mul", graph.op("Where", graph.op("Greater", gaps, longest), longest, gaps), live)
    powers = graph.constant(1 << np.arange(node.digits, dtype=np.int64), np.int64)
    column = graph.op("Unsqueeze", ticks, event.number(2), dtype=_INT64)
    bits = graph.op("Mod", graph.op("Div", column, powers), graph.constant(2, _INT64))  # (T, B, J)
    steps = graph.op("ReduceSum", bits, event.number(2), dtype=_INT64, keepdims=0)
    if node.discretization != "zoh":
        steps = graph.op("Add", steps, graph.op("Mul", live, graph.cast(graph.op("Equal", steps, zero), _INT64)))
    ends = graph.op("CumSum", steps, zero, dtype=_INT64)
    begins = graph.op("Sub", ends, steps)
    most = graph.op("ReduceMax", ends, dtype=_INT64, keepdims=0)
    most = graph.op("Unsqueeze", graph.op("Where", graph.op("Less", most, one), one, most), event.number(0))
    room = graph.op("Mul", most, event.batch)

    def spread(places: str, where: str, what: str) -> str:
        """``what`` at the steps ``places`` of each sample, where ``where`` is 1, and 0 elsewhere: (M, B) int64."""
        flags = graph.op("Greater", where, zero)
        index = graph.op("Where", flags, places, room)
        ends = graph.op("Add", room, event.number(1))
        zeros = graph.op("Expand", zero, ends, dtype=_INT64)
        flat = [graph.op("Reshape", each, event.number(-1), dtype=_INT64) for each in (index, what)]
        found = graph.op("ScatterElements", zeros, *flat, axis=0, reduction="add")
        found = graph.op("Slice", found, event.number(0), room, dtype=_INT64)
        return graph.op("Reshape", found, graph.op("Concat", most, event.batch, axis=0), dtype=_INT64)

    def row(places: str) -> str:
        shape = graph.op("Shape", places, dtype=_INT64)
        return graph.op("Reshape", event.flat(places), shape, dtype=_INT64)

    within = graph.op("CumSum", bits, graph.constant(2, _INT64), dtype=_INT64, exclusive=1)
    columns = graph.op("Unsqueeze", row(begins), event.number(2), dtype=_INT64)
    places = graph.op("Add", columns, graph.op("Mul", within, event.batch))
    numbers = graph.constant(np.arange(1, node.digits + 1), np.int64)
    digits = spread(places, bits, graph.op("Mul", bits, numbers))
    moved = graph.op("Mul", live, graph.cast(graph.op("Greater", steps, zero), _INT64))
    given = graph.op("Mul", graph.op("Reshape", number, graph.op("Shape", live, dtype=_INT64), dtype=_INT64), moved)
    scanned = [digits, spread(row(graph.op("Sub", ends, moved)), moved, given)]
    if node.discretization == "zoh":
        scanned.append(spread(row(begins), moved, given))
    graph.scope = node.name
    states = _scan(event, node, table, scanned)
    pool = first_pool(event.program, node)
    if pool is not None:
        parts = [event.number(-1), event.number(pool.window), event.batch]
        windows = graph.op("Reshape", ends, graph.op("Concat", *parts, axis=0), dtype=_INT64)
        ends = graph.op("Gather", windows, zero, dtype=_INT64, axis=1)
    found = read(graph, node, graph.op("Gather", states, event.flat(ends), dtype=DOUBLE, axis=0))
    if pool is not None:
        event.edges[pool.name] = found
    return found


def _drives(event: WholeEvents, node: DiagonalSSM, value: str) -> tuple[str, str]:
    """A table of ``rhu(B u + b)`` whose row 0 is 0, and which row belongs to each event, (T B,) int64 from 1 up."""
    graph = event.graph
    if node.name + DRIVE in event.tables:
        known = event.tables[node.name + DRIVE][: event.program.value_input.code_range[1] + 1]
        row = graph.op("Add", event.row(), graph.constant(1, np.int64))
        return graph.constant(np.pad(known, ((1, 0), (0, 0))), DOUBLE), row
    drives = graph.cast(drive(event, node, value), DOUBLE)
    zeros = graph.constant(np.zeros((1, node.channels)), DOUBLE)
    table = graph.op("Concat", zeros, drives, axis=0)
    end = graph.op("Squeeze", graph.op("Shape", table, dtype=_INT64, start=0, end=1), event.number(0), dtype=_INT64)
    one = graph.constant(1, np.int64)
    return table, graph.op("Range", one, end, one, dtype=_INT64)


def _scan(event: WholeEvents, node: DiagonalSSM, table: str, scanned: list[str]) -> str:
    """The states before the first step and after each: ((M + 1) B, Q)."""
    graph, channels = event.graph, node.channels
    tables = [each.reshape(len(each), 2, -1) if node.decay_im.size else each for each in digit_tables(node)]
    shape = list(tables[0].shape[1:])
    body = graph.child("steps")
    state = body.input("state", DOUBLE, ["batch", *shape])
    digit, last, *first = (body.input(name, np.int64, ["batch"]) for name in ("digit", "last", "first")[: len(scanned)])

    def pick(table: str, row: str) -> str:
        return body.op("Gather", table, row, dtype=DOUBLE, axis=0)

    along, across = (pick(body.constant(each, DOUBLE), digit) if each.size else "" for each in tables)
    if len(shape) > 1:
        table = graph.op("Reshape", table, graph.constant([-1, *shape], np.int64), dtype=DOUBLE)
    x = state
    if first:
        x = store(body, node, body.op("Add", x, pick(table, first[0])))
    x = decay_step(body, node, x, along, across, apart=len(shape) > 1)
    x = store(body, node, body.op("Sub" if first else "Add", x, pick(table, last)))
    body.output(x, "state_out", ["batch", *shape])
    body.output(x, "states", ["batch", *shape])
    start = event.zeros(channels)
    parts = (
        start if len(shape) == 1 else graph.op("Reshape", start, graph.constant([-1, *shape], np.int64), dtype=DOUBLE)
    )
    outputs = [graph.fresh("state"), graph.fresh("states")]
    graph.ops(
        "Scan", parts, *scanned, outputs=outputs, dtypes=[DOUBLE] * 2, body=body.build(), num_scan_inputs=len(scanned)
    )
    flat = graph.constant([-1, channels], np.int64)
    return graph.op("Concat", start, graph.op("Reshape", outputs[1], flat, dtype=DOUBLE), axis=0)
