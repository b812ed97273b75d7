"""Planning of event pools and read-outs; bodies in the order of operations/windows.py."""

from __future__ import annotations

from ....program.bounds import I32_LIMIT
from ....program.nodes import EventPool, Node, Readout
from .. import opcodes as o
from ..arenas import A16, A32, A64, fits_16
from .planner import BLOCK, NodePlanner, Planner, arena_for

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
    """Narrow are int16 values and int32 sums; mixed are int16 values of which the sum, or the output, needs more."""
    wide = not fits_16(node.format)
    long = wide or node.mode == "time" or max(node.bounds().values(), default=0) >= I32_LIMIT
    sums, values = planner.accs(long), arena_for(wide)
    outs = A64 if wide else A16 if fits_16(node.output) else sums.number
    name = node.inputs[0]
    source, tokens = planner.rows(name, values)
    weights = planner.edge(node.inputs[1], A64).offset if node.mode == "time" else 0
    events = [planner.events_at[planner.program.rates[edge]] for edge in (name, node.name)]
    phase, weight = planner.reserve_index(1, 0, node.window - 1), planner.reserve_state(planner.a64, 1)
    body = [POOLS[node.mode], node.window, node.divides, weights, *events, phase, weight]
    body += [planner.reserve_state(sums, node.size), planner.reserve_state(sums, node.size), tokens]
    kind = o.IS_WIDE if wide else o.IS_MIXED if long else o.IS_NARROW
    planner.emit(o.POOL, node, kind, source, planner.place(node, outs), body, arenas=(values, outs, sums.number))


def plan_readout(planner: Planner, node: Readout) -> None:
    """Two records of the same fields: one takes rows with the events, one reads the value behind them."""
    arena, wide = planner.arena_of(node.inputs[0]), not fits_16(node.output)
    source, rates, a64 = planner.edge(node.inputs[0], arena), planner.program.rates, planner.a64
    weights, gaps = 0, [0, 0, 0]
    if node.mode == "time":
        weights = planner.edge(node.inputs[1], A64).offset
        edge = planner.edge(node.inputs[2], A64)
        gaps = [edge.offset, edge.rows_at, planner.events_at[rates[node.inputs[2]]]]
    held = node.size * max(node.window, 1)
    cursors = [planner.reserve_index(1, 0, BLOCK) for _ in range(2)]
    state = [planner.reserve_state(a64, 1) for _ in range(2)]
    state.append(planner.reserve_index(1, 0, max(node.window, 1) - 1))  # the place in the ring
    state += [planner.reserve_state(a64, size) for size in (node.size, held)]
    planner.plan.counts.append(state[0])
    body = [TAKES[node.mode], node.extra_bits, node.window, node.decay_shift, weights]
    body += [planner.events_at[rates[node.inputs[0]]], cursors[0], *gaps, cursors[1], *state]
    out = planner.place(node, arena_for(wide))
    kind = o.IS_WIDE if arena == A64 else o.IS_NARROW
    planner.emit(o.TAKE, node, kind, source, 0, body, arenas=(arena, A16, A32), at=node.inputs[0])
    planner.emit(o.READ_OUT, node, wide, source, out, body, arenas=(arena_for(wide), A16, A32))


FUNCTIONS: dict[type[Node], NodePlanner] = {EventPool: plan_pool, Readout: plan_readout}
