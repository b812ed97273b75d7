"""The reference of event pools and read-outs."""

from __future__ import annotations

import numpy as np

from ..arithmetic import round_half_up_shift, rounded_divide
from ..nodes import EventPool, Node, Readout
from .batch import Batch, NodeFunction


def event_pool(node: EventPool, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """One output a complete window: its first or last value, exact sum, mean or time-weighted mean."""
    rows = valid.shape[1]

    def windows(edge: np.ndarray) -> np.ndarray:
        return edge[:, : rows * node.window].reshape(len(edge), rows, node.window, edge.shape[-1])

    x = windows(inputs[0])
    if node.mode in ("first", "last"):
        return x[:, :, 0 if node.mode == "first" else -1]
    plain = x.sum(axis=2)
    if node.mode == "time":
        weights = windows(inputs[1])
        weight = weights.sum(axis=2)
        empty = weight == 0
        numerator = np.where(empty, plain, (weights * x).sum(axis=2))
        plain = rounded_divide(numerator, np.where(empty, node.window, weight))
    elif node.divides:
        plain = rounded_divide(plain, np.int64(node.window))
    return batch.store(node, plain, node.output, valid)


def readout(node: Readout, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """The running value after 0, 1, 2, ... input events (traced), or after the last alone."""
    program = batch.program
    rate = program.rates[node.inputs[0]]
    x = inputs[0]
    samples, _, channels = x.shape
    zeros = np.zeros((samples, channels), dtype=np.int64)
    reader = _Reader(node, zeros)
    arrived = batch.valid(rate)
    live = batch.valid(1)
    rows = [reader.value()]
    passing = program.rates[node.inputs[-1]]
    for event in range(batch.events):
        if node.mode == "time" and (event + 1) % passing == 0:
            reader.pass_time(inputs[2][:, (event + 1) // passing - 1], live[:, event])
        if (event + 1) % rate == 0:
            k = (event + 1) // rate - 1
            weight = inputs[1][:, k] if node.mode == "time" else None
            reader.take(x[:, k], weight, arrived[:, k])
        if batch.trace:
            rows.append(reader.value())
    if not batch.trace:
        rows = [reader.value()]
    batch.incomplete |= reader.count[:, 0] == 0
    return batch.store(node, np.stack(rows, axis=1), node.output, valid)


class _Reader:
    """The sums of a read-out over a batch; rows that are not valid leave them as they are."""

    def __init__(self, node: Readout, zeros: np.ndarray) -> None:
        self.node = node
        self.count = np.zeros((len(zeros), 1), dtype=np.int64)
        self.weight = np.zeros((len(zeros), 1), dtype=np.int64)
        self.total = zeros
        self.weighted = zeros
        self.held = zeros
        self.recent: list[np.ndarray] = [zeros] * node.window

    def pass_time(self, gap: np.ndarray, live: np.ndarray) -> None:
        """A gap (B, 1) at full rate."""
        self.weight = self.weight + np.where(live[:, None], gap, 0)

    def take(self, x: np.ndarray, weight: np.ndarray | None, arrived: np.ndarray) -> None:
        """A value (B, channels), its weight (B, 1), and in which samples it is there (B,)."""
        node, there = self.node, arrived[:, None]
        scaled = x << node.extra_bits
        if weight is not None:
            self.weighted = self.weighted + np.where(there, weight * x, 0)
        if node.mode == "forget":
            moved = self.held + round_half_up_shift(scaled - self.held, node.decay_shift)
            self.held = np.where(there, np.where(self.count == 0, scaled, moved), self.held)
        elif node.mode == "last":
            self.held = np.where(there, scaled, self.held)
        elif node.mode == "window":
            older = [*self.recent[1:], x]
            self.recent = [np.where(there, new, old) for new, old in zip(older, self.recent, strict=True)]
        self.total = self.total + np.where(there, x, 0)
        self.count = self.count + there

    def value(self) -> np.ndarray:
        """The value as it stands, (B, channels), before saturation."""
        node = self.node
        if node.mode in ("last", "forget"):
            return self.held
        if node.mode == "window":
            return rounded_divide(np.sum(self.recent, axis=0) << node.extra_bits, np.minimum(self.count, node.window))
        if node.mode == "time":
            empty = self.weight == 0
            numerator = np.where(empty, self.total, self.weighted)
            return rounded_divide(numerator << node.extra_bits, np.where(empty, self.count, self.weight))
        return rounded_divide(self.total << node.extra_bits, self.count)


FUNCTIONS: dict[type[Node], NodeFunction] = {EventPool: event_pool, Readout: readout}
