"""The padded batch that the reference's node functions work on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arithmetic import saturate
from ..formats import Format
from ..graph import Program
from ..nodes import GAP, QUERY, Node


class Batch:
    """The padded batch that node functions work on: lengths, edges so far, counters."""

    def __init__(self, program: Program, lengths: np.ndarray, trace: bool) -> None:
        self.program = program
        self.lengths = lengths
        self.trace = trace
        self.edges: dict[str, np.ndarray] = {}
        self.states: dict[str, np.ndarray] = {}
        self.incomplete = np.zeros(len(lengths), dtype=bool)
        self.saturations: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(lengths), dtype=np.int64))
        self.clipped_gaps = {node.name: np.zeros(len(lengths), dtype=np.int64) for node in program if node.edge(GAP)}

    @property
    def events(self) -> int:
        """Events of the longest sample."""
        return int(self.lengths.max(initial=0))

    def valid(self, rate: int) -> np.ndarray:
        """Which rows of an edge of this rate belong to the sample and count, (B, rows) bool.

        Behind a read-out row k is the value after k events; the row that counts is the last.
        """
        if rate == QUERY:
            rows = np.arange(self.events + 1) if self.trace else self.lengths[:, None]
            return np.equal(rows, self.lengths[:, None])
        return np.arange(self.events // rate) < (self.lengths // rate)[:, None]

    def store(self, node: Node, value: np.ndarray, format: Format, valid: np.ndarray) -> np.ndarray:
        """Saturate ``value`` (B, ..., channels) to ``format``; count what clips where ``valid`` (B, ...)."""
        stored, clipped = saturate(value, format)
        counted = clipped & valid[..., None]
        self.saturations[node.name] += counted.reshape(len(self.lengths), -1).sum(axis=1)
        return stored


NodeFunction = Callable[[Any, list[np.ndarray], np.ndarray, Batch], np.ndarray]
"""(node, its inputs, which rows are valid, the batch) -> the node's edge."""
