"""Recordings that are held in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .plausibility import Plausibility, look_at, unwrap
from .recordings import Events, sort_by_time
from .tokens import Sensor


class ArrayRecordings:
    """Labelled recordings in memory; see ``recordings.Recordings``.

    Args:
        name: for messages.
        recordings: N event arrays, as of ``recordings.make_events``, in any order of time.
        labels: (N,) int64.
        class_names: in order of their label.
        sensor: (channels,) or (width, height, polarities).
        speakers: (N,) int64, or None where unknown.
        unwrap_times: count on where a clock of 32 bits began anew.

    Raises:
        PumiceError: a recording that cannot be one; names it and the limit.
    """

    def __init__(
        self,
        name: str,
        recordings: Sequence[Events],
        labels: NDArray[np.int64],
        class_names: Sequence[str],
        sensor: Sensor,
        speakers: NDArray[np.int64] | None = None,
        unwrap_times: bool = False,
    ) -> None:
        self.name, self.class_names = name, tuple(class_names)
        self.labels, self.speakers = labels, speakers
        self.lengths: NDArray[np.int64] = np.array([len(events) for events in recordings], dtype=np.int64)
        self._reports = [
            _look_at(f"recording {index} of {name}", events, sensor, unwrap_times)
            for index, events in enumerate(recordings)
        ]
        self._recordings = [sort_by_time(_counted_on(events) if unwrap_times else events) for events in recordings]

    def report(self, index: int) -> Plausibility:
        """What one recording looked like when it was given."""
        return self._reports[index]

    def events(self, index: int, start: int = 0, stop: int | None = None) -> Events:
        """Return events ``start`` to ``stop`` of one recording, sorted by time."""
        return self._recordings[index][start:stop].copy()


def _counted_on(events: Events) -> Events:
    events = events.copy()
    events["t"] = unwrap(events["t"])
    return events


def _look_at(where: str, events: Events, sensor: Sensor, unwrapped: bool) -> Plausibility:
    camera = len(sensor) == 3
    coordinates = (events["x"], events["y"]) if camera else (events["x"],)
    return look_at(where, events["t"], coordinates, sensor, events["p"] if camera else None, unwrapped)
