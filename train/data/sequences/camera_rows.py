"""Recordings of a camera of events as sequences of image rows (Shen et al. 2024): slices of frames, read row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ....errors import PumiceError
from ..recordings import Events, Recordings
from ..sources.registry import open_recordings
from ..task import TaskConfig, Validation, task_config
from .batch import BlockBatch, whole_sequences
from .sets import SequenceSet, Streams
from .task import SequenceTask

SIDE, POLARITIES, POOLED = 128, 2, 2
ROWS = SIDE // POOLED


def frames(events: Events, start_us: int, count: int, frame_us: int) -> NDArray[np.float32]:
    """``count`` frames from ``start_us`` on: events counted, averaged over polarities, the largest of 2 x 2 pixels.

    Returns:
        (count, 64, 64).
    """
    number = (events["t"] - start_us) // frame_us
    within = (number >= 0) & (number < count)
    cells = (number * SIDE + events["y"]) * SIDE + events["x"]
    counts = np.bincount(cells[within], minlength=count * SIDE * SIDE).reshape(count, ROWS, POOLED, ROWS, POOLED)
    return (counts.max(axis=(2, 4)) / POLARITIES).astype(np.float32)


class RowSet(SequenceSet):
    """Slices of recordings, each a sequence of the rows of its frames; read when they are asked for.

    Args:
        recordings: of one split.
        task: how to slice.
        divisor: of the values.
        chosen: (N, 2), recording and number of the slice; None for all.
    """

    in_features = ROWS

    def __init__(
        self, recordings: Recordings, task: CameraRowsTask, divisor: float, chosen: NDArray[np.int64] | None = None
    ) -> None:
        self._recordings, self._task, self._divisor = recordings, task, divisor
        self.name, self.class_names = recordings.name, tuple(recordings.class_names)
        self.slices = _slices(recordings, task.slice_us) if chosen is None else chosen
        self.lengths = np.full(len(self.slices), task.frames * ROWS, dtype=np.int64)
        self.labels = recordings.labels[self.slices[:, 0]]
        self.speakers = None if recordings.speakers is None else recordings.speakers[self.slices[:, 0]]

    def subset(self, chosen: NDArray[np.int64]) -> RowSet:
        """See `SequenceSet.subset`."""
        return RowSet(self._recordings, self._task, self._divisor, self.slices[chosen])

    def batch(self, samples: Sequence[int], streams: Streams | None) -> BlockBatch:
        """See `SequenceSet.batch`."""
        rows = list(samples)
        values = np.stack([self._rows(*self.slices[index].tolist()) for index in rows])
        return whole_sequences(torch.from_numpy(values), self.labels[rows], self.lengths[rows])

    def _rows(self, recording: int, number: int) -> NDArray[np.float32]:
        events, task = self._recordings.events(recording), self._task
        start = int(events["t"][0]) + number * task.slice_us
        return frames(events, start, task.frames, 1000 * task.frame_ms).reshape(-1, ROWS) / np.float32(self._divisor)


def _slices(recordings: Recordings, slice_us: int) -> NDArray[np.int64]:
    """(N, 2): the whole slices of each recording, from its first event on."""
    found = [
        (index, number)
        for index in range(len(recordings.labels))
        for number in range(int(recordings.report(index).duration_us) // slice_us)
    ]
    if not found:
        raise PumiceError(f"no recording of {recordings.name} lasts {slice_us / 1e6:g} s; lower task.slice_ms")
    return np.array(found, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class CameraRowsTask(SequenceTask):
    """DVS-Gesture as image rows: 64 values a step, 64 steps a frame.

    root, download: of the recordings, see ``task.TaskConfig``.
    slice_ms: length of a sample, a multiple of ``frame_ms``.
    frame_ms: length of a frame.
    divisor, test_divisor: of the values, in training and validation and in the test.
    unwrap_times: see ``task.TaskConfig``.

    Slices of one person stay together: validation is by ``speaker``.
    """

    root: str | None = None
    download: bool = False
    num_classes: int = 11
    slice_ms: int = 1700
    frame_ms: int = 25
    divisor: float = 19.0
    test_divisor: float = 18.5
    unwrap_times: bool = False
    validation: Validation = field(default_factory=lambda: Validation(by="speaker"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frame_ms < 1 or self.slice_ms < self.frame_ms or self.slice_ms % self.frame_ms:
            raise PumiceError(
                f"task.slice_ms={self.slice_ms} is no multiple of task.frame_ms={self.frame_ms}; change one"
            )
        for name in ("divisor", "test_divisor"):
            if not getattr(self, name) > 0:
                raise PumiceError(f"task.{name}={getattr(self, name)} has to be above 0")
        if self.select_on == "validation" and self.validation.by != "speaker":
            raise PumiceError(
                f"task.validation.by={self.validation.by} would hold out slices of recordings that are trained on; "
                "set it to speaker"
            )
        self.events  # noqa: B018 (checks the settings of the events)

    @property
    def frames(self) -> int:
        """Of a slice."""
        return self.slice_ms // self.frame_ms

    @property
    def slice_us(self) -> int:
        """Length of a slice."""
        return 1000 * self.slice_ms

    @property
    def events(self) -> TaskConfig:
        """The event task behind it."""
        keys = ("name", "num_classes", "root", "download", "unwrap_times")
        values: dict[str, Any] = {key: getattr(self, key) for key in keys}
        return task_config(values | {"source": "dvs-gesture", "sensor": (SIDE, SIDE, POLARITIES), "token": "pixel"})

    outputs = property(lambda self: self.num_classes)
    in_features = property(lambda self: ROWS)

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        divisor = self.test_divisor if split == "test" else self.divisor
        return RowSet(open_recordings(self.events, split), self, divisor)
