"""A folder of recordings, a file each: ``task=event-folder``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ....errors import PumiceError
from ..files.listing import Listing, list_folder
from ..files.opening import READERS, read_columns
from ..files.recordings import FileRecordings
from ..recordings import Recordings
from ..task import TaskConfig
from .shd_layout import ShdRecordings, read_class_names


def folder_of(task: TaskConfig) -> Path:
    """The folder of a task's files.

    Raises:
        PumiceError: none is given.
    """
    if task.root is None:
        raise PumiceError(f"task {task.name} has no data of its own; give the folder of the recordings as task.root")
    return Path(task.root).expanduser()


def list_events(task: TaskConfig) -> Listing:
    """The recordings of the folder; see `list_folder`."""
    return list_folder(folder_of(task), task.files, READERS)


def event_class_names(task: TaskConfig) -> tuple[str, ...]:
    """Names of the classes; no recording is read."""
    whole = _whole_split(task, "train")
    return list_events(task).class_names if whole is None else read_class_names(whole)


def open_event_folder(task: TaskConfig, split: str) -> Recordings:
    """Open a split of a folder of recordings.

    ``root``/train.h5 and test.h5 in SHD's layout are taken as they are; else see `files.listing` and `files.opening`.

    Raises:
        PumiceError: the files are missing, cannot be read, or cannot be right.
    """
    whole = _whole_split(task, split)
    if whole is not None:
        return ShdRecordings(whole, task.sensor[0], task.num_classes, task.unwrap_times)
    listing = list_events(task)
    return open_listed(task, listing, split)


def _whole_split(task: TaskConfig, split: str) -> Path | None:
    """The file in SHD's layout that holds a whole split, if there is one."""
    path = folder_of(task) / f"{split}.h5"
    return path if path.is_file() and task.files.listing is None else None


def open_listed(task: TaskConfig, listing: Listing, split: str) -> FileRecordings:
    """The recordings of a split that a listing names."""
    entries = listing.of_split(split)
    if task.num_classes not in (0, len(listing.class_names)):
        raise PumiceError(
            f"{listing.root} has {len(listing.class_names)} classes, the task {task.num_classes}; correct "
            "task.num_classes, or set it to null"
        )
    return FileRecordings(
        str(listing.root),
        [listing.root / entry.path for entry in entries],
        listing.labels(entries),
        listing.class_names,
        listing.subjects(entries),
        partial(read_columns, order=task.files.columns, camera=task.files.camera),
        task.sensor,
        task.files,
        task.unwrap_times,
    )
