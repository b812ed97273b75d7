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
from ..recordings import Events, make_events, sort_by_time

WIDTH = HEIGHT = 128


class DvsGestureRecordings:
    """Recordings of one split; see ``recordings.Recordings``. Files are taken in order of their path.

    Args:
        dataset: tonic's data set, which names the files and their labels.

    Raises:
        PumiceError: a file cannot be read.
    """

    def __init__(self, dataset: DVSGesture) -> None:
        order = sorted(range(len(dataset.data)), key=lambda i: dataset.data[i])
        self.name = dataset.location_on_system
        self.class_names: tuple[str, ...] = tuple(dataset.classes)
        self._files = [Path(dataset.data[i]) for i in order]
        self.labels = np.array([dataset.targets[i] for i in order], dtype=np.int64)
        self.speakers: NDArray[np.int64] | None = np.array([dataset.users[i] for i in order], dtype=np.int64)
        self.lengths = np.array([len(_open(file)) for file in self._files], dtype=np.int64)

    def events(self, index: int, start: int = 0, stop: int | None = None) -> Events:
        """Return events ``start`` to ``stop`` of one recording, sorted by time."""
        x, y, p, t_ms = np.array(_open(self._files[index])[start:stop]).T
        if len(x) and not (min(x.min(), y.min()) >= 0 and x.max() < WIDTH and y.max() < HEIGHT):
            raise PumiceError(f"{self._files[index]} has events outside {WIDTH}x{HEIGHT} pixels; fetch the set anew")
        return sort_by_time(make_events((t_ms.astype(np.float64) * 1000).astype(np.int64), x, y, p != 0))


def _open(file: Path) -> NDArray:
    """Map a recording (n, 4) of x, y, p, t into memory."""
    try:
        recording = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TokenError) as error:  # numpy parses the header as Python source
        raise PumiceError(f"{file} cannot be read as a recording ({error}); delete it and fetch the set") from error
    if recording.ndim != 2 or recording.shape[1] != 4 or recording.dtype.kind not in "iuf":
        found = f"{recording.dtype} of shape {recording.shape}"
        raise PumiceError(f"{file} holds {found}, not four columns of numbers; delete it and fetch the set")
    return recording
