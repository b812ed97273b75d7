"""Recordings of fewer pixels or channels, or of a limited duration, than their files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..plausibility import Plausibility
from ..recordings import Events, Recordings
from ..task import TaskConfig


def reduce(recordings: Recordings, task: TaskConfig) -> Recordings:
    """The recordings as a task's ``downsample`` and ``max_ms`` leave them."""
    if task.downsample == 1 and task.max_ms is None:
        return recordings
    return ReducedRecordings(recordings, task.downsample, None if task.max_ms is None else round(1000 * task.max_ms))


class ReducedRecordings:
    """Recordings of another set, reduced; see ``recordings.Recordings``. Reports are of the files as they are.

    Args:
        recordings: as they lie in their files.
        downsample: pixels or channels that fall together, each way.
        longest_us: events later than this after the first are left out; None for no limit.
    """

    def __init__(self, recordings: Recordings, downsample: int = 1, longest_us: int | None = None) -> None:
        self._recordings, self._downsample, self._longest_us = recordings, downsample, longest_us
        self.name, self.class_names = recordings.name, recordings.class_names
        self.labels, self.speakers = recordings.labels, recordings.speakers
        self.lengths: NDArray[np.int64] = recordings.lengths
        if longest_us is not None:
            self.lengths = np.array([self._within(index) for index in range(len(self.labels))], dtype=np.int64)

    @property
    def original(self) -> Recordings:
        """The recordings as they lie in their files."""
        return self._recordings

    def _within(self, index: int) -> int:
        report = self._recordings.report(index)
        if self._longest_us is None or report.duration_us <= self._longest_us:
            return report.events
        t = self._recordings.events(index)["t"]
        return int(np.searchsorted(t, t[0] + self._longest_us, side="right"))

    def report(self, index: int) -> Plausibility:
        """What one recording looks like in its file."""
        return self._recordings.report(index)

    def events(self, index: int, start: int = 0, stop: int | None = None) -> Events:
        """Return events ``start`` to ``stop`` of one recording, sorted by time."""
        if self._longest_us is None:
            events = self._recordings.events(index, start, stop)
        else:
            events = self._recordings.events(index)[: self.lengths[index]][start:stop]
        for axis in [name for name in ("x", "y") if name in (events.dtype.names or ())]:
            events[axis] //= self._downsample
        return events
