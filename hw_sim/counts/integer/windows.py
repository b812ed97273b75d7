"""Pools of windows and read-outs."""

from __future__ import annotations

import numpy as np

from ....program.nodes import GAP_FORMAT, EventPool, Node, Readout
from ..edges import Edges, NodeCounter
from ..records import Tally


def event_pool(node: EventPool, edges: Edges, tally: Tally) -> None:
    """Sums of windows; the first event of a window is stored, the last is added and read out.

    Of a window's last value nothing is stored: it is handed on.
    """
    if node.mode == "last":
        return
    x, outputs = edges.inputs(node)[0], len(edges.output(node))
    events, size, bits = len(x), node.size, node.state_bits
    position = np.arange(events) % node.window
    later, kept = int(np.count_nonzero(position)), int(np.count_nonzero(position < node.window - 1))
    if node.mode == "first":
        tally.move(state_read=outputs * bits, state_written=int(np.count_nonzero(position == 0)) * bits)
        return
    tally.move(state_read=later * bits, state_written=kept * bits)
    timed = node.mode == "time"
    width = node.sum_width
    tally.add("add", "sum", (width, width), width, later * size)
    if timed:
        weight = edges.inputs(node)[1]
        widths = (GAP_FORMAT.width, node.format.width)
        tally.add("multiply", "weighting", widths, 64, x.size, np.count_nonzero((x != 0) & (weight != 0)))
        tally.add("add", "weighted sum", (64, 64), 64, later * size)
        tally.add("add", "weights", (64, 64), 64, later)
    if node.divides:
        tally.add("divide", "mean", (width, width), node.output.width, outputs * size)


def readout(node: Readout, edges: Edges, tally: Tally) -> None:
    """Sums over the sample, read once after its last event."""
    x = edges.inputs(node)[0]
    count, size, width = len(x), node.size, node.output.width
    last = min(count, node.window) if node.mode == "window" else 0
    if node.mode in ("mean", "time"):
        tally.add("add", "sum", (64, 64), 64, x.size)
        tally.add("add", "count", (64, 64), 64, count)
        bits = 64 * (size + 1)
        tally.move(state_read=count * bits + bits, state_written=count * bits)
    if node.mode == "time":
        weight = edges.inputs(node)[1]
        widths = (GAP_FORMAT.width, node.format.width)
        tally.add("multiply", "weighting", widths, 64, x.size, np.count_nonzero((x != 0) & (weight != 0)))
        tally.add("add", "weighted sum", (64, 64), 64, x.size)
        passing = len(edges.inputs(node)[2])
        tally.add("add", "time", (64, 64), 64, passing)
        bits = 64 * (count * size + passing)
        tally.move(state_read=bits + 64 * (size + 1), state_written=bits)
    if node.mode == "window":
        tally.add("add", "sum", (64, 64), 64, max(last - 1, 0) * size)
        tally.move(state_read=last * size * node.format.width, state_written=x.size * node.format.width)
    if node.mode in ("last", "forget"):
        tally.move(state_read=size * width, state_written=x.size * width)
    if node.mode == "forget":
        moved = max(count - 1, 0) * size
        tally.add("add", "difference", (width + 1, width + 1), width + 1, moved)
        tally.add("round", "difference", (width + 1, 0), width, moved)
        tally.add("add", "value", (width, width), width, moved)
        tally.move(state_read=moved * width)
    if node.mode in ("mean", "time", "window"):
        tally.add("divide", "mean", (64, 64), width, size)


COUNTERS: dict[type[Node], NodeCounter] = {EventPool: event_pool, Readout: readout}
