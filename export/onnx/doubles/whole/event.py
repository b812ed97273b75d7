"""All events of a batch at once, time first: rows are events, in their order, those that are not valid behind them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .....program import Program
from .....program.formats import Format
from .....program.nodes import GAP_FORMAT, QUERY
from ...arithmetic import edge_dtype
from ...event import ProgramEvent
from ...graph import Graph
from ..arithmetic import DOUBLE, SINGLE

_INT64 = np.dtype(np.int64)


def _counting(method: Callable[..., str]) -> Callable[..., str]:
    """Write what a method writes as the clock's: numbers of rows, which belong to no node."""

    @wraps(method)
    def run(event: WholeEvents, *args: Any) -> str:
        graph, scope = event.graph, event.graph.scope
        graph.scope = "clock"
        found = method(event, *args)
        graph.scope = scope
        return found

    return run


class WholeEvents(ProgramEvent):
    """Edges are tensors (T B, channels), row ``t B + b`` for event t of sample b, T being that of the edge's rate.

    Attributes:
        batch: the number of samples, (1,) int64.
        counts: valid events by sample, (1, B) int64.
        places: where each event lies in order, (L, B) int64, L being the padded length.
        series: what is an output at every event, (T, B, channels).
    """

    def __init__(self, graph: Graph, program: Program) -> None:
        super().__init__(graph, program)
        self.batch = self.counts = self.places = self.series = ""
        self._stride = max(rate for rate in program.rates.values() if rate != QUERY)
        self._pad = self._order = ""
        self._live: dict[int, str] = {}
        self._before = ""

    def begin(self, valid: str) -> None:
        """Put the valid events of each sample before the others. Shape of ``valid``: (B, L) bool."""
        graph = self.graph
        graph.scope = "clock"
        length = graph.op("Shape", valid, dtype=np.int64, start=1, end=2)
        self.batch = graph.op("Shape", valid, dtype=np.int64, start=0, end=1)
        stride = self.number(self._stride)
        self._pad = graph.op("Sub", stride, graph.op("Mod", length, stride))  # one at least: no axis is empty
        flags = self._time_first(valid, 0)
        ones = graph.cast(flags, _INT64)
        seen = graph.op("CumSum", ones, graph.constant(0, np.int64), dtype=_INT64)
        self.counts = graph.op("ReduceSum", ones, self.number(0), dtype=_INT64, keepdims=1)
        time = self.steps(flags)
        behind = graph.op("Add", self.counts, graph.op("Sub", time, seen))
        self.places = graph.op("Where", flags, graph.op("Sub", seen, graph.constant(1, np.int64)), behind)
        times = graph.op("Expand", time, graph.op("Shape", flags, dtype=np.int64), dtype=_INT64)
        order = graph.op("ScatterElements", times, self.places, times, axis=0)
        self._order = self.flat(order)
        self._before = graph.op("Sub", seen, graph.constant(1, np.int64))
        self.is_valid = graph.op("Reshape", self.live(1), self.number(-1), dtype=bool)

    @_counting
    def rows(self, name: str, channels: int) -> str:
        """An input (B, L), or (B, L, channels), as rows: (L B,) or (L B, channels)."""
        graph = self.graph
        shape = graph.constant([-1, channels] if channels else [-1], np.int64)
        given = graph.op("Reshape", self._time_first(name, channels), shape, dtype=graph.dtypes[name])
        return graph.op("Gather", given, self._order, dtype=graph.dtypes[name], axis=0)

    @_counting
    def live(self, rate: int) -> str:
        """Which rows of edges of ``rate`` there are: (T, B) bool."""
        if rate not in self._live:
            graph = self.graph
            limit = self.counts if rate == 1 else graph.op("Div", self.counts, graph.constant(rate, np.int64))
            self._live[rate] = graph.op("Less", self.steps(self.places, rate), limit)
        return self._live[rate]

    @_counting
    def steps(self, tensor: str, rate: int = 1) -> str:
        """0, 1, ... up to the length of the first axis over ``rate``: (T, 1) int64."""
        graph = self.graph
        length = graph.op("Shape", tensor, dtype=np.int64, start=0, end=1)
        length = length if rate == 1 else graph.op("Div", length, self.number(rate))
        end = graph.op("Squeeze", length, self.number(0), dtype=_INT64)
        steps = graph.op("Range", graph.constant(0, np.int64), end, graph.constant(1, np.int64), dtype=_INT64)
        return graph.op("Unsqueeze", steps, self.number(1), dtype=_INT64)

    @_counting
    def flat(self, steps: str) -> str:
        """The rows of ``steps`` (T, B) of each sample, (T B,)."""
        graph = self.graph
        end = graph.op("Squeeze", self.batch, self.number(0), dtype=_INT64)
        sample = graph.op("Range", graph.constant(0, np.int64), end, graph.constant(1, np.int64), dtype=_INT64)
        row = graph.op("Add", graph.op("Mul", steps, self.batch), sample)
        return graph.op("Reshape", row, self.number(-1), dtype=_INT64)

    @_counting
    def apart(self, rows: str, *sizes: int) -> str:
        """Rows as (T, [window,] B, channels), from the sizes ``[window,] channels``."""
        graph, (*window, channels) = self.graph, sizes
        parts = [self.number(-1), *(self.number(size) for size in window), self.batch, self.number(channels)]
        shape = graph.op("Concat", *parts, axis=0)
        return graph.op("Reshape", rows, shape, dtype=graph.dtypes[rows])

    @_counting
    def zeros(self, channels: int) -> str:
        """States before the first event, (B, channels)."""
        return self.graph.zeros(self.graph.op("Transpose", self.counts, perm=[1, 0]), [channels], DOUBLE)

    def number(self, value: int) -> str:
        """A constant (1,) int64."""
        return self.graph.constant([value], np.int64)

    def count(self, rate: int) -> str:
        """Valid events on edges of ``rate``: (B, 1) int64."""
        graph = self.graph
        total = graph.op("Reshape", self.counts, graph.constant([-1, 1], np.int64), dtype=_INT64)
        return total if rate == 1 else graph.op("Div", total, graph.constant(rate, np.int64))

    @_counting
    def as_given(self, tensor: str) -> str:
        """Values (T, B, channels) at every event as it was given (B, L, channels); others repeat the last, or are 0."""
        graph, channels = self.graph, self.number(1)
        none = graph.op("Less", self._before, graph.constant(0, np.int64))
        index = self.flat(graph.op("Max", self._before, graph.constant(0, np.int64)))
        size = graph.op("Shape", tensor, dtype=np.int64, start=2, end=3)
        rows = graph.op("Reshape", tensor, graph.op("Concat", self.number(-1), size, axis=0), dtype=DOUBLE)
        found = graph.op("Gather", rows, index, dtype=DOUBLE, axis=0)
        shape = graph.op("Concat", self.number(-1), self.batch, size, axis=0)
        found = graph.op("Reshape", found, shape, dtype=DOUBLE)
        missing = graph.op("Unsqueeze", none, graph.constant([2], np.int64), dtype=bool)
        found = graph.op("Where", missing, graph.constant(0, DOUBLE), found)
        found = graph.op("Transpose", found, perm=[1, 0, 2])
        end = graph.op("Neg", self._pad)
        return graph.op("Slice", found, self.number(0), end, channels, dtype=DOUBLE)

    def as_double(self, tensor: str) -> str:
        """An edge in float64, where it is of float32."""
        return self.graph.cast(tensor, DOUBLE) if self.graph.dtypes[tensor] == SINGLE else tensor

    def edge_dtype(self, format: Format) -> np.dtype:
        return _INT64 if format == GAP_FORMAT else DOUBLE

    def integers(self, tensor: str, format: Format | None = None) -> str:
        if self.graph.dtypes[tensor] not in (DOUBLE, SINGLE) or format is None:
            return tensor
        return self.graph.cast(tensor, edge_dtype(format))

    def _time_first(self, name: str, channels: int) -> str:
        """An input, padded, with the time as its first axis."""
        graph, rest = self.graph, 1 if channels else 0
        dtype = graph.dtypes[name]
        zeros = [self.number(0)] * rest
        pads = graph.op("Concat", *[self.number(0)] * (3 + rest), self._pad, *zeros, axis=0)
        padded = graph.cast(name, np.int32) if dtype == np.bool_ else name
        padded = graph.op("Pad", padded, pads, dtype=graph.dtypes[padded])
        return graph.cast(graph.op("Transpose", padded, perm=[1, 0, 2][: 2 + rest]), dtype)
