"""DVS-Gesture (Amir et al. 2017) as tonic lays it out: a folder a user and lighting, a .npy file a recording.

Recordings are read slice by slice from disk: the whole set does not fit into the memory of small machines.
"""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray
from tonic.datasets import DVSGesture

from ....errors import PumiceError
from ..plausibility import Plausibility, look_at, polarity_on, unwrap
from ..recordings import Events, make_events, sort_by_time
from ..times import microseconds

WIDTH = HEIGHT = 128
DAMAGE = (OSError, ValueError, EOFError, OverflowError, TokenError, SyntaxError, MemoryError, RecursionError)
"""What reading a recording raises: numpy parses its header as Python source."""
HEAD = 1024
"""Events of each recording that tell the coding of polarities; all others have to agree when they are read."""


class DvsGestureRecordings:
    """Recordings of one split; see ``recordings.Recordings``. Files are taken in order of their path.

    Args:
        dataset: tonic's data set, which names the files and their labels.
        unwrap_times: count on where a clock of 32 bits began anew.

    Raises:
        PumiceError: a file cannot be read, or the polarities are of no known coding.
    """

    def __init__(self, dataset: DVSGesture, unwrap_times: bool = False) -> None:
        order = sorted(range(len(dataset.data)), key=lambda i: dataset.data[i])
        self.name = dataset.location_on_system
        self.class_names: tuple[str, ...] = tuple(dataset.classes)
        self._files = [Path(dataset.data[i]) for i in order]
        self.labels = np.array([dataset.targets[i] for i in order], dtype=np.int64)
        self.speakers: NDArray[np.int64] | None = np.array([dataset.users[i] for i in order], dtype=np.int64)
        opened = [_open(file) for file in self._files]
        self.lengths = np.array([len(recording) for recording in opened], dtype=np.int64)
        self._on = polarity_on(
            self.name, np.concatenate([np.zeros(0), *(np.unique(head[:HEAD, 2]) for head in opened)])
        )
        self._unwrap = unwrap_times
        self._reports: dict[int, Plausibility] = {}
        self._offsets: dict[int, NDArray[np.int64]] = {}

    def report(self, index: int) -> Plausibility:
        """What one recording looks like in its file, which is read as a whole when it is first asked for."""
        if index not in self._reports:
            file = self._files[index]
            x, y, p, t_ms = np.array(_open(file)).T
            if polarity_on(str(file), np.append(p, self._on)) != self._on:
                raise PumiceError(f"{file} codes polarities otherwise than the rest of the set; recode them")
            t = _microseconds(file, t_ms)
            self._reports[index] = look_at(str(file), t, (x, y), (WIDTH, HEIGHT), p, self._unwrap)
            if self._reports[index].wraps:
                self._offsets[index] = unwrap(t) - t
        return self._reports[index]

    def events(self, index: int, start: int = 0, stop: int | None = None) -> Events:
        """Return events ``start`` to ``stop`` of one recording, sorted by time.

        Raises:
            PumiceError: it cannot be a recording of this set (``report``).
        """
        self.report(index)
        x, y, p, t_ms = np.array(_open(self._files[index])[start:stop]).T
        t = _microseconds(self._files[index], t_ms)
        t = t + self._offsets[index][start:stop] if index in self._offsets else t
        return sort_by_time(make_events(t, x, y, p == self._on))


def _microseconds(file: Path, t_ms: NDArray) -> NDArray[np.int64]:
    try:
        return microseconds(t_ms, 1000)
    except ValueError as error:
        raise PumiceError(f"{file}: {error}; its times are milliseconds, correct them or their unit") from None


def _open(file: Path) -> NDArray:
    """Map a recording (n, 4) of x, y, p, t into memory."""
    try:
        recording = np.load(file, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PumiceError(
            f"{file} cannot be read as a recording ({reason}); correct it, or fetch the set anew if it was downloaded"
        ) from error
    if recording.ndim != 2 or recording.shape[1] != 4 or recording.dtype.kind not in "iuf":
        found = f"{recording.dtype} of shape {recording.shape}"
        raise PumiceError(
            f"{file} holds {found}, not four columns of numbers; correct it, or fetch the set anew if it was downloaded"
        )
    return recording
