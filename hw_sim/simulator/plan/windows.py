"""Planning of event pools and read-outs; bodies in the order of operations/windows.py."""

from __future__ import annotations

from ....program.nodes import EventPool, Node, Readout
from .. import opcodes as o
from ..arenas import fits_16
from .planner import NodePlanner, Planner

POOLS = {
    "first": o.POOL_FIRST,
    "last": o.POOL_LAST,
    "sum": o.POOL_SUM,
    "mean": o.POOL_MEAN,
    "time": o.POOL_TIME,
}
TAKES = {
    "mean": o.TAKE_MEAN,
    "time": o.TAKE_TIME,
    "last": o.TAKE_LAST,
    "window": o.TAKE_WINDOW,
    "forget": o.TAKE_FORGET,
}


def plan_pool(planner: Planner, node: EventPool) -> None:
    """Sums are int64; mixed are int16 values of which the sum needs more."""
    wide, wide_out = not fits_16(node.format), not fits_16(node.output)
    source = planner.edge(node.inputs[0], wide)
    weights = planner.edge(node.inputs[1], True).offset if node.mode == "time" else 0
    phase = planner.reserve_index(1, 0, node.window - 1)
    state = [phase, *(planner.reserve_state(planner.a64, size) for size in (1, node.size, node.size))]
    body = [POOLS[node.mode], node.window, node.divides, weights, *state]
    kind = o.IS_WIDE if wide else o.IS_MIXED if wide_out else o.IS_NARROW
    planner.emit(o.POOL, node, kind, source, planner.place(node, wide or wide_out), body)


def plan_readout(planner: Planner, node: Readout) -> None:
    """Two records of the same fields: one takes rows with the events, one reads the value behind them."""
    wide_in, wide_out = planner.is_wide(node.inputs[0]), not fits_16(node.output)
    source = planner.edge(node.inputs[0], wide_in)
    weights = gaps = gap_rows = 0
    if node.mode == "time":
        weights = planner.edge(node.inputs[1], True).offset
        gap_rows, gaps, _ = planner.edge(node.inputs[2], True)
    held = node.size * max(node.window, 1)
    state = [planner.reserve_state(planner.a64, 1) for _ in range(2)]
    state.append(planner.reserve_index(1, 0, max(node.window, 1) - 1))  # the place in the ring
    state += [planner.reserve_state(planner.a64, size) for size in (node.size, held)]
    planner.plan.counts.append(state[0])
    body = [TAKES[node.mode], node.extra_bits, node.window, node.decay_shift, weights, gaps, gap_rows, *state]
    out = planner.place(node, wide_out)
    planner.emit(o.TAKE, node, wide_in, source, 0, body, at=node.inputs[0])
    planner.emit(o.READ_OUT, node, wide_out, source, out, body)


FUNCTIONS: dict[type[Node], NodePlanner] = {EventPool: plan_pool, Readout: plan_readout}
