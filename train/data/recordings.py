"""Recordings of events: the one event dtype used everywhere, in tonic's manner, and labelled sets of them.

``t`` is int64 microseconds, ``x`` the channel or column, ``y`` the row and ``p`` the polarity (cameras only).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import PumiceError
from .plausibility import Plausibility
from .times import microseconds

Events = NDArray[np.void]

CHANNEL_EVENT = np.dtype([("t", np.int64), ("x", np.int32)])

PIXEL_EVENT = np.dtype([("t", np.int64), ("x", np.int32), ("y", np.int32), ("p", np.int32)])


def make_events(t: NDArray, x: NDArray, y: NDArray | None = None, p: NDArray | None = None) -> Events:
    """Build an event array of shape (n,) from its columns; with ``y`` and ``p`` the events are pixel events.

    ``t`` is in microseconds, rounded to whole ones; ``p`` is 0 or 1, or a boolean.

    Raises:
        PumiceError: times that are not finite or beyond 285 years, or other polarities.
    """
    try:
        t = microseconds(np.asarray(t), 1)
    except ValueError as error:
        raise PumiceError(f"{error}; correct the times") from None
    if p is not None and len(p) and not ((p == 0) | (p == 1)).all():
        raise PumiceError("polarities of events are 0 or 1; recode them, for example as p > 0")
    events = np.empty(len(t), dtype=CHANNEL_EVENT if y is None else PIXEL_EVENT)
    events["t"], events["x"] = t, x
    if y is not None:
        events["y"], events["p"] = y, p
    return events


def columns_of_events(events: Events) -> dict[str, NDArray]:
    """The columns of an event array by name."""
    return {name: np.ascontiguousarray(events[name]) for name in events.dtype.names or ()}


def sort_by_time(events: Events) -> Events:
    """Return the events in order of time; events of equal time keep their order."""
    t = events["t"]
    if np.all(t[1:] >= t[:-1]):
        return events
    return events[np.argsort(t, kind="stable")]


class Recordings(Protocol):
    """N labelled recordings of one file or folder.

    name: where they came from, for messages.
    class_names: C names in order of their label.
    labels: int64 (N,).
    lengths: int64 (N,), events in each recording.
    speakers: int64 (N,), who was recorded, or None where unknown.
    """

    name: str
    class_names: tuple[str, ...]
    labels: NDArray[np.int64]
    lengths: NDArray[np.int64]
    speakers: NDArray[np.int64] | None

    def report(self, index: int) -> Plausibility:
        """What one recording looks like in its file, measured once.

        Raises:
            PumiceError: it cannot be a recording of this task; names it and the limit.
        """
        ...

    def events(self, index: int, start: int = 0, stop: int | None = None) -> Events:
        """Return events ``start`` to ``stop`` of one recording, sorted by time."""
        ...
