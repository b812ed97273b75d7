"""From events as they come to what a program or a float model reads: tokens, counts in steps, rows of values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PumiceError
from ...program.samples import Sample
from ...train.data.files.columns import Columns
from ...train.data.plausibility import LONGEST_US, WRAP_US
from ...train.data.recordings import make_events
from ...train.data.times import UNITS, microseconds
from ...train.data.tokens import TOKENS, Sensor
from .faults import Faults

PIECE = 1 << 12
"""Rows that are filled in at once where a gap is long."""


class Clock:
    """Times of a stream as whole microseconds that do not decrease.

    Args:
        unit_us: of the source.
        unwrap: count on where a clock of 32 bits begins anew.
        faults: what becomes of events out of order.
    """

    def __init__(self, unit_us: int, unwrap: bool, faults: Faults) -> None:
        self._unit_us, self._unwrap, self._faults = unit_us, unwrap, faults
        self.last: int | None = None
        self.offset = 0

    def take(self, given: NDArray, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Times (n,) in microseconds, and which events (n,) are taken; ``numbers`` (n,) are those of the events.

        Raises:
            PumiceError: no times, or events out of order that are refused.
        """
        try:
            t = microseconds(given, self._unit_us) + self.offset
        except ValueError as error:
            raise PumiceError(f"{error}, of those from number {numbers[0]} on; correct the times or the unit") from None
        if not len(t):
            return t, np.ones(0, bool)
        before = t[:1] if self.last is None else np.array([self.last])
        wraps = np.diff(t, prepend=before) < -(WRAP_US // 2)
        counted = WRAP_US * np.cumsum(wraps & self._unwrap)
        t = t + counted
        newest = np.maximum.accumulate(np.concatenate([before, t]))
        taken = t >= newest[:-1]
        if not taken.all():
            event = int(np.argmin(taken))
            why = "as where a clock of 32 bits begins anew (unwrap=true counts on)" if wraps[event] else "out of order"
            back = int(newest[event] - t[event])
            late = f"event {numbers[event]} at {t[event]} us lies {back:,} us before one that came earlier, {why}"
            self._faults.found("out of order", late, int(np.sum(~taken)))
        self.last = int(newest[-1])
        self.offset += int(counted[-1])
        return t, taken


class Encoder(ABC):
    """Turns blocks of a source into samples' parts; what is not complete yet waits.

    Attributes:
        seen: events or rows that came, those left out included.
    """

    seen = 0
    widths: tuple[int, ...]
    """How many columns a line has."""

    @abstractmethod
    def take(self, block: Columns | NDArray) -> Iterator[Sample]:
        """What the model reads of a block, in pieces."""

    def finish(self) -> Iterator[Sample]:
        """What is left when the stream ends."""
        return iter(())

    @abstractmethod
    def state(self) -> dict[str, int | None]:
        """Whole numbers that it remembers."""

    @abstractmethod
    def restore(self, state: Mapping[str, int | None], arrays: Mapping[str, NDArray]) -> None:
        """Go on from ``state`` and ``arrays``."""

    def arrays(self) -> dict[str, NDArray]:
        """Arrays that it remembers."""
        return {}


@dataclass(frozen=True)
class Pixels:
    """How an event names its place.

    Attributes:
        sensor: (channels,) or (width, height, polarities), as the source sees it.
        token: a name of `train.data.tokens.TOKENS`.
        downsample: pixels or channels that fall together each way.
        polarity: the codes (off, on) of a camera; None where polarities are left out.
    """

    sensor: Sensor
    token: str = "channel"
    downsample: int = 1
    polarity: tuple[int, int] | None = (0, 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of a line."""
        return (2, 4) if len(self.sensor) == 1 else ((3, 4) if self.polarity is None else (4,))

    @property
    def grid(self) -> Sensor:
        """The sensor as the model sees it."""
        return (*(-(-size // self.downsample) for size in self.sensor[:2]), *self.sensor[2:])

    def check(self, columns: Columns) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
        """Which events (n,) are on the sensor, and which of them by kind of what is wrong."""
        axes = [columns.x] if len(self.sensor) == 1 else [columns.x, columns.y]
        outside = np.zeros(len(columns.t), bool)
        for axis, size in zip(axes, self.sensor, strict=False):
            if axis is None:
                raise PumiceError(f"the events have no y, and the sensor is {list(self.sensor)}; give t,x,y,p")
            outside |= (axis != np.floor(axis)) | (axis < 0) | (axis >= size)
        wrong = {"outside the sensor": outside}
        if len(self.sensor) == 3 and self.polarity is not None:
            if columns.p is None:
                raise PumiceError(f"the events have no p, and the sensor is {list(self.sensor)}; give t,x,y,p")
            wrong["of no polarity"] = ~np.isin(columns.p, self.polarity) & ~outside
        return ~np.logical_or.reduce(list(wrong.values())), wrong

    def tokens(self, t: NDArray[np.int64], columns: Columns) -> NDArray[np.int64]:
        """Tokens (n,) of events that are on the sensor."""
        x = columns.x.astype(np.int64) // self.downsample
        if len(self.sensor) == 1:
            return TOKENS[self.token][0](make_events(t, x), self.grid)
        assert columns.y is not None
        on = np.zeros(len(t), bool) if self.polarity is None else np.asarray(columns.p) == self.polarity[1]
        return TOKENS[self.token][0](make_events(t, x, columns.y.astype(np.int64) // self.downsample, on), self.grid)


class EventEncoder(Encoder):
    """Events to tokens.

    Args:
        pixels: of the sensor.
        unit_us: microseconds of a unit of the times.
        unwrap: see `Clock`.
        faults: what becomes of events that cannot be.
    """

    def __init__(self, pixels: Pixels, unit_us: int, unwrap: bool, faults: Faults) -> None:
        self.pixels, self.widths, self._faults = pixels, pixels.widths, faults
        self.clock = Clock(unit_us, unwrap, faults)

    def checked(self, columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tokens and times (n,) of the events that can be."""
        right, wrong = self.pixels.check(columns)
        for kind, where in wrong.items():
            if where.any():
                event = int(np.argmax(where))
                places = (columns.x, columns.y, columns.p)
                place = ", ".join(f"{axis[event]:g}" for axis in places if axis is not None)
                size = "x".join(map(str, self.pixels.sensor))
                sentence = f"event {self.seen + event} at ({place}) lies outside the sensor of {size}"
                if kind == "of no polarity":
                    assert columns.p is not None
                    assert self.pixels.polarity is not None
                    off, on = self.pixels.polarity
                    sentence = (
                        f"event {self.seen + event} has the polarity {columns.p[event]:g}, which is neither {off} nor "
                        f"{on} (polarity=[off,on])"
                    )
                self._faults.found(kind, sentence, int(where.sum()))
        columns = _kept(columns, right)
        t, taken = self.clock.take(columns.t, self.seen + np.flatnonzero(right))
        self.seen += len(right)
        return self.pixels.tokens(t[taken], _kept(columns, taken)), t[taken]

    def take(self, block: Columns | NDArray) -> Iterator[Sample]:
        """See `Encoder.take`."""
        assert isinstance(block, Columns)
        tokens, times = self.checked(block)
        if len(tokens):
            yield tokens, times

    def state(self) -> dict[str, int | None]:
        """See `Encoder.state`."""
        return {"seen": self.seen, "last": self.clock.last, "offset": self.clock.offset}

    def restore(self, state: Mapping[str, int | None], arrays: Mapping[str, NDArray]) -> None:
        """See `Encoder.restore`."""
        self.seen, self.clock.last, self.clock.offset = _whole(state["seen"]), state["last"], _whole(state["offset"])


class StepEncoder(EventEncoder):
    """Events to counts in steps of time, from the first event on; the step that is open waits.

    Counts are those of `train.data.sequences.binned.bin_events`: a step that the stream's end leaves open is left out,
    unless there is no other.

    Args:
        pixels, unit_us, unwrap, faults: of `EventEncoder`.
        group: neighbouring channels that are counted together.
        step_us: of a step.
        floor_us: times are rounded down to this first; divides the step.
    """

    def __init__(
        self, pixels: Pixels, unit_us: int, unwrap: bool, faults: Faults, group: int, step_us: int, floor_us: int
    ) -> None:
        super().__init__(pixels, unit_us, unwrap, faults)
        self._group, self._step_us, self._floor_us = group, step_us, floor_us
        self._counts = np.zeros(pixels.grid[0] // group)
        self._first: int | None = None
        self._open = 0

    def take(self, block: Columns | NDArray) -> Iterator[Sample]:
        """See `Encoder.take`."""
        assert isinstance(block, Columns)
        channels, times = self.checked(block)
        if not len(times):
            return
        first = self._first = int(times[0]) if self._first is None else self._first
        steps = (times // self._floor_us - first // self._floor_us) // (self._step_us // self._floor_us)
        steps = np.maximum(steps, self._open)  # a step that an end has closed stays closed
        gap = np.diff(steps, prepend=self._open) * self._step_us
        if (gap > LONGEST_US).any():
            event = int(np.argmax(gap > LONGEST_US))
            raise PumiceError(
                f"an event at {times[event]} us comes {gap[event] / 1e6:,.0f} s after the one before it, more than a "
                "day of empty steps; correct the unit of the times, or start the stream anew"
            )
        cells, width, last = channels // self._group, len(self._counts), int(steps[-1])
        while self._open < last:
            stop = min(last, self._open + PIECE)
            inside = int(np.searchsorted(steps, stop))
            places = (steps[:inside] - self._open) * width + cells[:inside]
            counts = np.bincount(places, minlength=(stop - self._open) * width).reshape(-1, width).astype(np.float64)
            counts[0] += self._counts
            self._counts = np.zeros(width)
            yield counts, first + self._step_us * np.arange(self._open, stop, dtype=np.int64)
            self._open, steps, cells = stop, steps[inside:], cells[inside:]
        self._counts += np.bincount(cells, minlength=width)

    def finish(self) -> Iterator[Sample]:
        """See `Encoder.finish`."""
        if self._first is not None and self._open == 0:
            yield self._counts[None], np.array([self._first])
            self._counts, self._open = np.zeros(len(self._counts)), 1

    def state(self) -> dict[str, int | None]:
        """See `Encoder.state`."""
        return {**super().state(), "first": self._first, "open": self._open}

    def arrays(self) -> dict[str, NDArray]:
        """See `Encoder.arrays`."""
        return {"counts": self._counts}

    def restore(self, state: Mapping[str, int | None], arrays: Mapping[str, NDArray]) -> None:
        """See `Encoder.restore`."""
        super().restore(state, arrays)
        self._first, self._open, self._counts = state["first"], _whole(state["open"]), arrays["counts"].copy()


class RowEncoder(Encoder):
    """Rows of values, one a step: ``v, ...`` or, with its time first, ``t, v, ...``.

    Args:
        features: values of a row.
        step_us: of rows without times.
        clock: of rows with times.
        timed: whether rows have to bring their times.
    """

    def __init__(self, features: int, step_us: int, clock: Clock, timed: bool) -> None:
        self._features, self._step_us, self.clock = features, step_us, clock
        self.widths = (features + 1,) if timed else (features, features + 1)

    def take(self, block: Columns | NDArray) -> Iterator[Sample]:
        """See `Encoder.take`."""
        rows = np.asarray(block, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] not in self.widths:
            wanted = " or ".join(map(str, self.widths))
            raise PumiceError(f"rows have shape {rows.shape}, a row has {wanted} numbers; give (steps, values)")
        if rows.shape[1] == self._features:
            times, taken = self._step_us * np.arange(self.seen, self.seen + len(rows)), np.ones(len(rows), bool)
        else:
            times, taken = self.clock.take(rows[:, 0], np.arange(self.seen, self.seen + len(rows)))
        self.seen += len(rows)
        if taken.any():
            yield np.ascontiguousarray(rows[taken, -self._features :]), times[taken].astype(np.int64)

    def state(self) -> dict[str, int | None]:
        """See `Encoder.state`."""
        return {"seen": self.seen, "last": self.clock.last, "offset": self.clock.offset}

    def restore(self, state: Mapping[str, int | None], arrays: Mapping[str, NDArray]) -> None:
        """See `Encoder.restore`."""
        self.seen, self.clock.last, self.clock.offset = _whole(state["seen"]), state["last"], _whole(state["offset"])


def unit_of(name: str) -> int:
    """Microseconds of a unit of time.

    Raises:
        PumiceError: an unknown one.
    """
    for microseconds_, known in UNITS.items():
        if known == name:
            return microseconds_
    raise PumiceError(f"unit={name} is unknown; choose one of {', '.join(UNITS.values())}")


def _kept(columns: Columns, kept: NDArray[np.bool_]) -> Columns:
    if kept.all():
        return columns
    axes: list[Any] = [None if axis is None else axis[kept] for axis in (columns.t, columns.x, columns.y, columns.p)]
    return Columns(*axes)


def _whole(number: int | None) -> int:
    return 0 if number is None else number
