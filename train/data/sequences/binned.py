"""Event recordings as counts in bins of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..events import Events
from ..recordings import Recordings
from .batch import IGNORED, BlockBatch, LabelledSequence, collate_blocks, labelled_stretch
from .sets import SequenceSet, Streams

if TYPE_CHECKING:
    from .tasks import BinnedTask


def bin_events(events: Events, channels: int, group: int, bin_ms: int) -> NDArray[np.float32]:
    """Count the events of a recording in bins of time from its first event on, and in groups of channels.

    Times are rounded down to milliseconds; an incomplete last bin is left out, unless there is no other.

    Args:
        events: sorted by time, microseconds.
        channels: of the sensor, a multiple of ``group``.
        group: neighbouring channels that are counted together.
        bin_ms: milliseconds of a bin.

    Returns:
        (bins, channels // group).
    """
    width = channels // group
    if not len(events):
        return np.zeros((1, width), dtype=np.float32)
    milliseconds = events["t"] // 1000
    bins = (milliseconds - milliseconds[0]) // bin_ms
    count = max(1, int((milliseconds[-1] - milliseconds[0]) // bin_ms))
    cells = (bins * width + events["x"] // group)[bins < count]
    return np.bincount(cells, minlength=count * width).reshape(count, width).astype(np.float32)


class BinnedSet(SequenceSet):
    """Recordings in bins, one label a recording; see `bin_events` and `tasks.BinnedTask`.

    Args:
        recordings: of one split.
        task: how to bin, and how to augment in training.
        chosen: indices of recordings; None for all.
    """

    def __init__(self, recordings: Recordings, task: BinnedTask, chosen: NDArray[np.int64] | None = None) -> None:
        self._recordings, self._task = recordings, task
        self._chosen = np.arange(len(recordings.labels)) if chosen is None else chosen
        self._augment = task.events.build_augmentation()
        self.name, self.class_names = recordings.name, tuple(recordings.class_names)
        self.in_features = task.in_features
        self.lengths = recordings.lengths[self._chosen]
        self.speakers = None if recordings.speakers is None else recordings.speakers[self._chosen]

    def subset(self, chosen: NDArray[np.int64]) -> BinnedSet:
        """See `SequenceSet.subset`."""
        return BinnedSet(self._recordings, self._task, self._chosen[chosen])

    def batch(self, samples: Sequence[int], streams: Streams | None) -> BlockBatch:
        """See `SequenceSet.batch`."""
        return collate_blocks([self._sequence(index, streams) for index in samples])

    def _sequence(self, index: int, streams: Streams | None) -> LabelledSequence:
        task, recording = self._task, int(self._chosen[index])
        events = self._recordings.events(recording)
        if streams is not None:
            events = self._augment(events, streams(index))
        counts = bin_events(events, task.channels, task.group, task.bin_ms)
        counts = np.pad(counts, ((0, max(0, task.fewest_bins - len(counts))), (0, 0)))
        targets = np.array([IGNORED, self._recordings.labels[recording]], dtype=np.int64)
        return LabelledSequence(counts, labelled_stretch(len(counts), task.ignored_bins), targets)
