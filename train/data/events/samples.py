"""Samples: which recordings, or slices of them, make up a split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ..recordings import Events, Recordings


class EventSamples:
    """The samples of one split: raw events and labels, nothing augmented.

    ``samples[i]`` is (events, label); ``labels`` and ``lengths`` are int64 (N,).

    Args:
        recordings: where the events come from.
        chosen: indices of recordings, (N,); None for all.
        slice_events: cut recordings into slices of so many events, half overlapping.
        fewest: a sample with fewer events is refused.

    Raises:
        PumiceError: there is no sample, or one has fewer than ``fewest`` events.
    """

    def __init__(
        self,
        recordings: Recordings,
        chosen: NDArray[np.int64] | None = None,
        slice_events: int | None = None,
        fewest: int = 0,
    ) -> None:
        self.recordings = recordings
        self.class_names = tuple(recordings.class_names)
        chosen = np.arange(len(recordings.labels)) if chosen is None else np.asarray(chosen)
        if len(chosen) == 0:
            raise PumiceError(f"{recordings.name} holds no samples for this split; choose other data")
        lacking = chosen[recordings.lengths[chosen] < fewest]
        if len(lacking):
            raise PumiceError(
                f"sample {lacking[0]} of {recordings.name} has {recordings.lengths[lacking[0]]} events, training needs "
                f"at least {fewest}; leave it out of the data ({len(lacking)} such samples)"
            )
        windows = [
            (index, start, stop)
            for index in chosen.tolist()
            for start, stop in slice_bounds(int(recordings.lengths[index]), slice_events)
        ]
        self._windows = np.array(windows, dtype=np.int64)
        self.labels: NDArray[np.int64] = recordings.labels[self._windows[:, 0]]
        self.lengths: NDArray[np.int64] = self._windows[:, 2] - self._windows[:, 1]

    @property
    def indices(self) -> NDArray[np.int64]:
        """For each sample the number of its recording, (N,)."""
        return self._windows[:, 0]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> tuple[Events, int]:
        recording, start, stop = self._windows[index].tolist()
        return self.recordings.events(recording, start, stop), int(self.labels[index])

    def __iter__(self) -> Iterator[tuple[Events, int]]:
        return (self[index] for index in range(len(self)))


def slice_bounds(length: int, size: int | None) -> list[tuple[int, int]]:
    """Cut ``length`` events into half overlapping slices of ``size``; the last one ends with the recording.

    A recording of at most ``size`` events, or ``size`` None, is one slice.
    """
    if size is None or length <= size:
        return [(0, length)]
    step = size // 2
    starts = range(0, length - size + step, step)
    return [(start, min(start + size, length)) for start in starts]
