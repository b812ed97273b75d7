"""Where the recordings of a task come from.

Each source is a function (task, split) -> recordings; a new data set is one more entry in ``SOURCES``. The files of
published sets are looked for, and downloaded if wished, where tonic keeps them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tonic.datasets

from ....errors import PumiceError
from .. import spoken_digits
from ..arrays import ArrayRecordings
from ..recordings import Recordings
from ..saccade import digits
from ..task import TaskConfig
from .audio_folder import audio_class_names, open_audio_folder
from .dvs_gesture import DvsGestureRecordings
from .event_folder import event_class_names, open_event_folder
from .fetch import fetch, root_of
from .published import SETS, open_published
from .reduced import reduce
from .shd_layout import ShdRecordings


def open_spoken_digits(task: TaskConfig, split: str) -> Recordings:
    """Open the embedded set, or one built anew: ``task.root`` then holds train.h5 and test.h5."""
    path = spoken_digits.path(split) if task.root is None else Path(task.root).expanduser() / f"{split}.h5"
    if not path.is_file():
        raise PumiceError(
            f"{path} does not exist; leave task.root out for the embedded set or build one with `pumice data build`"
        )
    return ShdRecordings(path, task.sensor[0], task.num_classes, task.unwrap_times)


def open_saccade_digits(task: TaskConfig, split: str) -> Recordings:
    """Open the embedded two-dimensional set; it is made on first use and kept in the cache folder."""
    recordings, labels = digits.open_digits(split)
    name = f"saccade-digits, {split}"
    return ArrayRecordings(name, recordings, labels, digits.CLASS_NAMES, task.sensor, unwrap_times=task.unwrap_times)


def open_shd(task: TaskConfig, split: str) -> Recordings:
    """Open SHD: ``root``/SHD/shd_{train,test}.h5."""
    file = root_of(task) / "SHD" / f"shd_{split}.h5"
    if not file.is_file():
        fetch(task, file, lambda: tonic.datasets.SHD(str(root_of(task)), train=split == "train"))
    return ShdRecordings(file, task.sensor[0], task.num_classes, task.unwrap_times)


def open_ssc(task: TaskConfig, split: str) -> Recordings:
    """Open SSC: ``root``/SSC/ssc_{train,valid,test}.h5."""
    stored = "valid" if split == "validation" else split
    file = root_of(task) / "SSC" / f"ssc_{stored}.h5"
    if not file.is_file():
        fetch(task, file, lambda: tonic.datasets.SSC(str(root_of(task)), split=stored))
    return ShdRecordings(file, task.sensor[0], task.num_classes, task.unwrap_times)


def open_dvs_gesture(task: TaskConfig, split: str) -> Recordings:
    """Open DVS-Gesture: ``root``/DVSGesture/ibmGesture{Train,Test}/ and the archive beside it."""
    folder = root_of(task) / "DVSGesture" / f"ibmGesture{split.capitalize()}"
    archive = folder.with_name(f"{folder.name}.tar.gz")
    complete = archive.is_file() and any(folder.glob("**/*.npy"))

    def open_tonic() -> tonic.datasets.DVSGesture:
        return tonic.datasets.DVSGesture(str(root_of(task)), train=split == "train")

    if not complete:
        fetch(task, folder if archive.is_file() else archive, open_tonic)
    return DvsGestureRecordings(open_tonic(), task.unwrap_times)


SOURCES: dict[str, Callable[[TaskConfig, str], Recordings]] = {
    "spoken-digits": open_spoken_digits,
    "saccade-digits": open_saccade_digits,
    "shd": open_shd,
    "ssc": open_ssc,
    "dvs-gesture": open_dvs_gesture,
    "event-folder": open_event_folder,
    "audio-folder": open_audio_folder,
    **dict.fromkeys(SETS, open_published),
}
OWN_VALIDATION = ("ssc", "event-folder", "audio-folder")
"""Sources that have, or may have, a validation split of their own."""
CLASS_NAMES: dict[str, Callable[[TaskConfig], tuple[str, ...]]] = {
    "event-folder": event_class_names,
    "audio-folder": audio_class_names,
}
"""Sources whose classes may be counted, by ``task.COUNTED``."""


def open_recordings(task: TaskConfig, split: str) -> Recordings:
    """Open the recordings of a split of the source: ``train``, ``test``, or ``validation`` where the source has it.

    Raises:
        PumiceError: the source is unknown, or its files are missing or damaged.
    """
    if task.source not in SOURCES:
        raise PumiceError(f"task.source={task.source} is unknown; choose one of {', '.join(SOURCES)}")
    return reduce(SOURCES[task.source](task, split), task)


def count_classes(task: TaskConfig) -> int:
    """The number of classes of a source whose classes are counted.

    Raises:
        PumiceError: there are none, or its files are missing.
    """
    names = CLASS_NAMES[task.source](task)
    if len(names) < 2:
        raise PumiceError(f"task {task.name} has the classes {', '.join(names) or 'none'}; it needs two at least")
    return len(names)
