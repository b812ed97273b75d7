"""Nodes with state, one object a node, one call an event. Only valid events reach them."""

from __future__ import annotations

import numpy as np

from ....program.arithmetic import round_half_up_shift, rounded_divide, saturate
from ....program.nodes import EventPool, Readout


class PoolState:
    """The open window of an EventPool."""

    def __init__(self, node: EventPool) -> None:
        self.node = node
        self._window: list[tuple[np.ndarray, int]] = []

    def step(self, value: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray | None:
        """Take an event; the window's value if it is complete, else None."""
        node = self.node
        self._window.append((value, 0 if weight is None else int(weight[0])))
        if len(self._window) < node.window:
            return None
        window, self._window = self._window, []
        if node.mode in ("first", "last"):
            return window[0 if node.mode == "first" else -1][0]
        total = np.sum([x for x, _ in window], axis=0)
        weights = sum(w for _, w in window)
        if weights > 0:
            total = rounded_divide(np.sum([w * x for x, w in window], axis=0), weights)
        elif node.divides:
            total = rounded_divide(total, node.window)
        return saturate(total, node.output)[0]


class ReadoutState:
    """The running value of a Readout."""

    def __init__(self, node: Readout) -> None:
        self.node = node
        self._count = 0
        self._total = self._weighted = self._held = np.zeros(node.size, dtype=np.int64)
        self._weight = 0
        self._recent: list[np.ndarray] = []

    def pass_time(self, gap: np.ndarray) -> None:
        """The gap (1,) of an event at full rate."""
        self._weight += int(gap[0])

    def take(self, value: np.ndarray, weight: np.ndarray | None = None) -> None:
        """A value (size,) and its weight (1,)."""
        node = self.node
        scaled = value << node.extra_bits
        if node.mode == "forget" and self._count > 0:
            scaled = self._held + round_half_up_shift(scaled - self._held, node.decay_shift)
        self._held = scaled
        if node.mode == "window":
            self._recent = [*self._recent, value][-node.window :]
        self._count += 1
        self._total = self._total + value
        if weight is not None:
            self._weighted = self._weighted + int(weight[0]) * value

    def value(self) -> np.ndarray:
        """The value of the events so far, (size,)."""
        node = self.node
        if node.mode in ("last", "forget"):
            return saturate(self._held, node.output)[0]
        numerator, denominator = self._total, self._count
        if node.mode == "window":
            numerator, denominator = sum(self._recent, np.zeros(node.size, dtype=np.int64)), len(self._recent)
        if node.mode == "time" and self._weight > 0:
            numerator, denominator = self._weighted, self._weight
        return saturate(rounded_divide(numerator << node.extra_bits, denominator), node.output)[0]
