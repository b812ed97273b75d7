"""A folder of sound files, encoded by the package's cochlea: ``task=audio-folder``."""

from __future__ import annotations

from ....errors import PumiceError
from ..audio.decode import SUFFIXES
from ..audio.store import split_file
from ..files.listing import Listing, list_folder
from ..recordings import Recordings
from ..spoken_digits.encoder import CHANNELS
from ..task import TaskConfig
from .event_folder import folder_of
from .shd_layout import ShdRecordings


def list_audio(task: TaskConfig) -> Listing:
    """The sound files of the folder; see `list_folder`."""
    return list_folder(folder_of(task), task.files, SUFFIXES)


def audio_class_names(task: TaskConfig) -> tuple[str, ...]:
    """Names of the classes; no sound is read."""
    return list_audio(task).class_names


def open_audio_folder(task: TaskConfig, split: str) -> Recordings:
    """Open a split of a folder of sound files; what was encoded before is not encoded anew.

    Raises:
        PumiceError: a file is missing, cannot be read, or cannot be sound.
    """
    if tuple(task.sensor) != (CHANNELS,):
        raise PumiceError(f"task.sensor={list(task.sensor)}: the cochlea has {CHANNELS} channels; set [{CHANNELS}]")
    listing = list_audio(task)
    entries = listing.of_split(split)
    files = [listing.root / entry.path for entry in entries]
    file = split_file(files, listing.labels(entries), listing.class_names, listing.subjects(entries), task.audio)
    return ShdRecordings(file, CHANNELS, task.num_classes)
