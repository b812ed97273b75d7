"""Event recordings as counts in bins of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ..plausibility import Plausibility
from ..recordings import Events, Recordings, columns_of_events
from ..sources.registry import OWN_VALIDATION, open_recordings
from ..task import TaskConfig, task_config
from .batch import IGNORED, BlockBatch, LabelledSequence, collate_blocks, labelled_stretch
from .sets import SequenceSet, Streams
from .task import SequenceTask

MOST_BINS = 10_000
"""Of a recording: 40 s of 4 ms bins."""


def bin_events(
    events: Events, channels: int, group: int, bin_ms: int, most_bins: int = MOST_BINS
) -> NDArray[np.float32]:
    """Count the events of a recording in bins of time from its first event on, and in groups of channels.

    Times are rounded down to milliseconds; an incomplete last bin is left out, unless there is no other.

    Args:
        events: sorted by time, microseconds.
        channels: of the sensor, a multiple of ``group``.
        group: neighbouring channels that are counted together.
        bin_ms: milliseconds of a bin.
        most_bins: the recording may take.

    Returns:
        (bins, channels // group).

    Raises:
        PumiceError: more bins; a single late event would fill the memory with empty ones.
    """
    width = channels // group
    if not len(events):
        return np.zeros((1, width), dtype=np.float32)
    milliseconds = events["t"] // 1000
    bins = (milliseconds - milliseconds[0]) // bin_ms
    count = max(1, int((milliseconds[-1] - milliseconds[0]) // bin_ms))
    if count > most_bins:
        raise PumiceError(f"a recording takes {count:,} bins of {bin_ms} ms, at most {most_bins:,} are allowed; cut it")
    cells = (bins * width + events["x"] // group)[bins < count]
    return np.bincount(cells, minlength=count * width).reshape(count, width).astype(np.float32)


class BinnedSet(SequenceSet):
    """Recordings in bins, one label a recording; see `bin_events` and `tasks.BinnedTask`.

    Args:
        recordings: of one split.
        task: how to bin, and how to augment in training.
        chosen: indices of recordings; None for all.

    Raises:
        PumiceError: a recording takes more bins than the task allows; names it.
    """

    def __init__(self, recordings: Recordings, task: BinnedTask, chosen: NDArray[np.int64] | None = None) -> None:
        self._recordings, self._task = recordings, task
        self._chosen = np.arange(len(recordings.labels)) if chosen is None else chosen
        self._augment = task.events.build_augmentation()
        self.name, self.class_names = recordings.name, tuple(recordings.class_names)
        self.in_features = task.in_features
        self.lengths = recordings.lengths[self._chosen]
        self.speakers = None if recordings.speakers is None else recordings.speakers[self._chosen]
        for index in self._chosen.tolist():
            self._check_duration(recordings.report(index), index)

    def _check_duration(self, report: Plausibility, index: int) -> None:
        bins, task = report.duration_us // (1000 * self._task.bin_ms), self._task
        if bins > task.most_bins:
            raise PumiceError(
                f"recording {index} of {self.name} takes {bins:,} bins of {task.bin_ms} ms, at most {task.most_bins:,} "
                f"are allowed; its largest gap is {report.largest_gap_us / 1e6:,.3f} s: cut the recording, remove the "
                "late event, or raise task.most_bins or task.bin_ms"
            )

    def subset(self, chosen: NDArray[np.int64]) -> BinnedSet:
        """See `SequenceSet.subset`."""
        return BinnedSet(self._recordings, self._task, self._chosen[chosen])

    def batch(self, samples: Sequence[int], streams: Streams | None) -> BlockBatch:
        """See `SequenceSet.batch`."""
        return collate_blocks([self._sequence(index, streams) for index in samples])

    def raw(self, index: int) -> dict[str, NDArray]:
        """See `SequenceSet.raw`."""
        return columns_of_events(self._recordings.events(int(self._chosen[index])))

    def _sequence(self, index: int, streams: Streams | None) -> LabelledSequence:
        counts = self._counts(index, None if streams is None else streams(index))
        label = self._recordings.labels[int(self._chosen[index])]
        targets = np.array([IGNORED, label], dtype=np.int64)
        return LabelledSequence(counts, labelled_stretch(len(counts), self._task.ignored_bins), targets)

    def _counts(self, index: int, rng: np.random.Generator | None) -> NDArray[np.float32]:
        """The counts (T, F) of a recording, augmented by ``rng`` where there is one."""
        task, events = self._task, self._recordings.events(int(self._chosen[index]))
        if rng is not None:
            events = self._augment(events, rng)
        most = 2 * task.most_bins  # augmentation stretches time
        counts = bin_events(events, task.channels, task.group, task.bin_ms, most)
        return np.pad(counts, ((0, max(0, task.fewest_bins - len(counts))), (0, 0)))


@dataclass(frozen=True, kw_only=True)
class BinnedTask(SequenceTask):
    """An event task of one-dimensional sensors, counted in bins of time; see ``binned.bin_events``.

    source, root, download, num_classes, channels, augmentation: of the events, see ``task.TaskConfig``.
    group: neighbouring channels that are counted together.
    bin_ms: milliseconds of a bin.
    fewest_bins: shorter recordings are padded with empty bins, which count like others.
    ignored_bins: the first bins, which do not count in the logits.
    most_bins: longer recordings are refused: a late event fills the memory with empty bins.
    unwrap_times: see ``task.TaskConfig``.
    """

    source: str
    num_classes: int
    channels: int
    root: str | None = None
    download: bool = False
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    group: int = 5
    bin_ms: int = 4
    fewest_bins: int = 250
    ignored_bins: int = 10
    most_bins: int = MOST_BINS
    unwrap_times: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("group", "bin_ms", "most_bins"):
            if getattr(self, name) < 1:
                raise PumiceError(f"task.{name}={getattr(self, name)} has to be at least 1")
        if self.channels % self.group:
            raise PumiceError(f"task.channels={self.channels} is not a multiple of task.group={self.group}; change one")
        if self.ignored_bins >= self.fewest_bins:
            raise PumiceError(
                f"task.ignored_bins={self.ignored_bins} leaves nothing of task.fewest_bins={self.fewest_bins}; lower it"
            )
        self.events  # noqa: B018 (checks the settings of the events)

    @property
    def events(self) -> TaskConfig:
        """The event task behind it."""
        keys = ("name", "source", "num_classes", "root", "download", "augmentation", "unwrap_times")
        return task_config({key: getattr(self, key) for key in keys} | {"sensor": (self.channels,)})

    outputs = property(lambda self: self.num_classes)
    in_features = property(lambda self: self.channels // self.group)
    step_us = property(lambda self: 1000 * self.bin_ms)

    @property
    def own_validation(self) -> bool:
        """Whether the source brings a validation split."""
        return self.source in OWN_VALIDATION

    def recordings(self, split: str) -> Recordings:
        """What is counted in bins."""
        return open_recordings(self.events, split)

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        return BinnedSet(self.recordings(split), self)
