"""Pools of windows and read-outs."""

from __future__ import annotations

import numpy as np

from ....program.nodes import EventPool, Node, Readout
from ..edges import Edges
from ..records import Tally
from .rule import WIDTH, FloatRule, op


def event_pool(node: EventPool, edges: Edges, tally: Tally) -> None:
    """Sums of windows; a mean is a product with a constant, and a window's last value is handed on."""
    if node.mode == "last":
        return
    x, outputs = edges.inputs(node)[0], edges.output(node)
    position = np.arange(len(x)) % node.window
    later, kept = int(np.count_nonzero(position)), int(np.count_nonzero(position < node.window - 1))
    bits = WIDTH * pool_numbers(node)
    if node.mode == "first":
        tally.move(state_read=len(outputs) * bits, state_written=int(np.count_nonzero(position == 0)) * bits)
        return
    tally.move(state_read=later * bits, state_written=kept * bits)
    op(tally, "add", "sum", later * node.size)
    if node.mode == "mean":
        op(tally, "multiply", "mean", outputs.size)
    if node.mode == "time":
        op(tally, "multiply", "weighting", x.size)
        op(tally, "add", "weights", later)
        op(tally, "divide", "mean", outputs.size)


def readout(node: Readout, edges: Edges, tally: Tally) -> None:
    """Sums over the sample, read once after its last event."""
    x = edges.inputs(node)[0]
    count, size = len(x), node.size
    last = min(count, node.window)
    moved = max(count - 1, 0) * size
    passing = len(edges.inputs(node)[-1])
    sums = {"mean": x.size + count, "time": x.size, "window": max(last - 1, 0) * size, "forget": 2 * moved, "last": 0}
    op(tally, "add", "sum", sums[node.mode])
    if node.mode == "forget":
        op(tally, "multiply", "difference", moved)
    if node.mode == "time":
        op(tally, "multiply", "weighting", x.size)
        op(tally, "add", "time", passing)
    if node.mode in ("mean", "time", "window"):
        op(tally, "divide", "mean", size)
    read, written = {
        "mean": ((count + 1) * (size + 1), count * (size + 1)),
        "time": ((count + 1) * size + passing + 1, count * size + passing),
        "window": (last * size, x.size),
        "forget": (moved + size, x.size),
        "last": (size, x.size),
    }[node.mode]
    tally.move(state_read=read * WIDTH, state_written=written * WIDTH)


def pool_numbers(node: EventPool) -> int:
    """Numbers that the pool remembers: the weighted sums are the only ones."""
    return 0 if node.mode == "last" else node.size + (node.mode == "time")


def readout_numbers(node: Readout) -> int:
    """Numbers that the read-out remembers."""
    return node.size * max(node.window, 1) + (node.mode in ("mean", "time"))


RULES: dict[type[Node], FloatRule] = {
    EventPool: FloatRule(event_pool, state=pool_numbers),
    Readout: FloatRule(readout, state=readout_numbers),
}
