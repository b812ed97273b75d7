"""Files of recordings whose class nobody has told: read as a task reads its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ....errors import PumiceError
from ....hdf5 import open_hdf5
from ..audio.decode import SUFFIXES
from ..audio.store import split_file
from ..files.opening import READERS, read_columns
from ..files.recordings import FileRecordings
from ..recordings import Recordings
from ..spoken_digits.encoder import CHANNELS
from ..task import TaskConfig
from .shd_layout import ENTRIES, ShdRecordings


def open_given(path: Path, task: TaskConfig, class_names: tuple[str, ...]) -> Recordings:
    """The recordings of a file: one of events or of sound, or all of a file in SHD's layout.

    Args:
        path: of any format that `event-folder` and `audio-folder` read.
        task: says the sensor, the unit of times, polarities, and how sound is encoded.
        class_names: of the model.

    Returns:
        recordings whose labels, all 0, mean nothing.

    Raises:
        PumiceError: the file is missing, of no known format, cannot be read, or cannot be right; names it.
    """
    found = _opened(path, task, class_names)
    found.labels = np.zeros(len(found.lengths), dtype=np.int64)
    return found


def _opened(path: Path, task: TaskConfig, class_names: tuple[str, ...]) -> ShdRecordings | FileRecordings:
    if not path.is_file():
        raise PumiceError(f"{path} is no file; name recordings, one file each")
    labels, suffix = np.zeros(1, dtype=np.int64), path.suffix.lower()
    if suffix in SUFFIXES:
        if tuple(task.sensor) != (CHANNELS,):
            raise PumiceError(
                f"{path} is sound, of which the cochlea makes spikes of {CHANNELS} channels; the model reads a sensor "
                f"of {list(task.sensor)}, name recordings of that"
            )
        return ShdRecordings(split_file([path], labels, ("",), None, task.audio), CHANNELS, 0)
    if suffix not in READERS:
        raise PumiceError(f"{path} ends in none of {', '.join([*READERS, *SUFFIXES])}; convert it")
    if suffix in (".h5", ".hdf5") and _has_shd_layout(path):
        return ShdRecordings(path, task.sensor[0], 0, task.unwrap_times)
    read = partial(read_columns, order=task.files.columns, camera=task.files.camera)
    return FileRecordings(
        str(path), [path], labels, class_names, None, read, task.sensor, task.files, task.unwrap_times
    )


def _has_shd_layout(path: Path) -> bool:
    try:
        with open_hdf5(path) as file:
            return all(entry in file for entry in ENTRIES)
    except (OSError, ValueError, LookupError, RuntimeError):
        return False  # whoever reads it as one recording says what is wrong
