"""What a task is: which data, how they are split, augmented and turned into batches (configs/task/)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PumiceError
from ...program.graph import PAIRINGS
from .audio.settings import AudioSettings, audio_settings
from .files.settings import FileSettings, file_settings
from .recordings import Recordings
from .streams import Purpose, stream
from .times import tick_microseconds
from .tokens import Sensor, vocabulary
from .transforms.compose import Augmentation, build_augmentation

SPLITS = ("train", "validation", "test")
JUDGES = ("validation", "test", "none")
"""What may choose the epoch that is kept: one of these splits, or nothing."""
COUNTED = ("event-folder", "audio-folder")
"""Sources whose classes may be counted: ``num_classes`` 0."""


@dataclass(frozen=True)
class Validation:
    """How samples for validation are held out of the training data.

    by: ``sample``, a share of the recordings; ``speaker``, a share of the speakers with all their recordings; or
        ``own``, the data set has a validation split of its own.
    fraction: the share that is held out.
    seed: chooses which; apart from the training seed, so that runs of several seeds are compared on equal splits.
    """

    by: str = "sample"
    fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("validation.by", self.by, ("sample", "speaker", "own"))
        if not 0 < self.fraction < 1:
            raise PumiceError(f"task.validation.fraction={self.fraction} is out of range; it lies between 0 and 1")


@dataclass(frozen=True)
class TaskConfig:
    """A classification task on event data.

    name: what the task is called in figures and folders.
    source: where the recordings come from, a name in ``sources.registry.SOURCES``.
    num_classes: C; 0 for as many as the source has, where it is one of ``COUNTED``.
    sensor: (channels,) or (width, height, polarities) of the recordings.
    root: folder of the files, laid out as tonic does, or as one's own; None for embedded sets.
    download: let tonic download missing files into ``root``.
    token: ``channel``, ``pixel``, ``x-major`` or ``product``, see ``tokens``.
    downsample: pixels or channels that fall together each way, so that the model sees fewer (`grid`).
    max_ms: events later than this after the first of a recording are left out; None for no limit.
    files: how files of one's own are labelled, split and read.
    audio: how sound becomes spikes.
    tick_ms, pairing: see ``times.intervals``.
    pad_unit: batches are padded to a multiple of it; train_pad_unit: the same in training, None for the same value.
    max_events: longer sequences are cropped, in training at a random place, else at the end; None for no limit.
    slice_events: training samples are slices of so many events, half overlapping; None for whole recordings.
    validation: how validation samples are found.
    select_on: the split that chooses the checkpoint, ``validation`` or ``test``. With ``test``, as some published
        recipes do, nothing is held out and the reported test accuracy is the best of many looks at it. With ``none``
        nothing is held out and nothing chooses: the last epoch is kept.
    augmentation: transforms of training samples, name -> arguments, in order; cut_mix: share of mixed batches.
    unwrap_times: count on where a camera's clock of 32 bits began anew within a recording, which is refused otherwise.
    """

    name: str
    source: str
    num_classes: int
    sensor: Sensor
    root: str | None = None
    download: bool = False
    token: str = "channel"
    tick_ms: float | None = 0.5
    pairing: str = "causal"
    pad_unit: int = 64
    train_pad_unit: int | None = None
    max_events: int | None = None
    slice_events: int | None = None
    validation: Validation = field(default_factory=Validation)
    select_on: str = "validation"
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    cut_mix: float = 0.0
    unwrap_times: bool = False
    downsample: int = 1
    max_ms: float | None = None
    files: FileSettings = field(default_factory=FileSettings)
    audio: AudioSettings = field(default_factory=AudioSettings)

    def __post_init__(self) -> None:
        _one_of("pairing", self.pairing, PAIRINGS)
        _one_of("select_on", self.select_on, JUDGES)
        _at_least("downsample", self.downsample, 1)
        vocabulary(self.token, self.grid)
        if self.max_ms is not None and not self.max_ms > 0:
            raise PumiceError(f"task.max_ms={self.max_ms} is out of range; it has to be above 0, or null")
        if self.tick_ms is not None:
            tick_microseconds(self.tick_ms)
        fewest = 0 if self.source in COUNTED and self.num_classes == 0 else 2
        for name, least in (("num_classes", fewest), ("pad_unit", 1), ("train_pad_unit", 1), ("max_events", 2)):
            _at_least(name, getattr(self, name), least)
        _at_least("slice_events", self.slice_events, 2)
        if not 0 <= self.cut_mix <= 1:
            raise PumiceError(f"task.cut_mix={self.cut_mix} is out of range; it is a probability, from 0 to 1")
        self.build_augmentation()

    @property
    def grid(self) -> Sensor:
        """What the model sees of the sensor: (channels,) or (width, height, polarities) after down-sampling."""
        places = tuple(-(-size // self.downsample) for size in self.sensor[:2])
        return places + tuple(self.sensor[2:])

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return vocabulary(self.token, self.grid)

    @property
    def fewest_events(self) -> int:
        """The fewest events a training sample may have: one, or two where the last event is dropped."""
        return 1 if self.pairing == "causal" else 2

    def build_augmentation(self) -> Augmentation:
        """Return the transforms of training samples."""
        return build_augmentation(self.augmentation, self.grid, self.fewest_events)


def task_config(values: Mapping[str, Any]) -> TaskConfig:
    """Build the task from plain values, as they stand in configs/task/*.yaml.

    Raises:
        PumiceError: a key is unknown or missing, or a value is out of range.
    """
    values = dict(values)
    values["sensor"] = tuple(values.get("sensor") or ())
    _known_keys("task", values, TaskConfig)
    held_out = values.get("validation") or {}
    _known_keys("task.validation", held_out, Validation)
    values["validation"] = Validation(**held_out)
    values["augmentation"] = values.get("augmentation") or {}
    values["files"] = file_settings(values.get("files"))
    values["audio"] = audio_settings(values.get("audio"))
    if values.get("source") in COUNTED:
        values["num_classes"] = values.get("num_classes") or 0
    if values.get("token") is None:
        values["token"] = "channel" if len(values["sensor"]) == 1 else "pixel"
    missing = [key for key in ("name", "source", "num_classes", "sensor") if not values.get(key)]
    missing = [key for key in missing if key != "num_classes" or values.get("source") not in COUNTED]
    if missing:
        raise PumiceError(f"task.{missing[0]} is missing; give it in the task's configuration")
    return TaskConfig(**values)


def _known_keys(where: str, values: Mapping[str, Any], config: type) -> None:
    known = [entry.name for entry in fields(config)]
    for key in values:
        if key not in known:
            raise PumiceError(f"{where}.{key} is unknown; the keys are {', '.join(known)}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise PumiceError(f"task.{name}={value} is unknown; choose one of {', '.join(choices)}")


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and (not isinstance(value, int) or value < least):
        raise PumiceError(f"task.{name}={value} is out of range; it has to be a whole number of at least {least}")


def hold_out(recordings: Recordings, validation: Validation) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the recordings held out of training for validation, by recording or by speaker.

    Returns:
        indices of the training and of the validation recordings, ascending.

    Raises:
        PumiceError: the speakers are not known, or nothing would be left on one side.
    """
    everything = np.arange(len(recordings.lengths))
    rng = stream(validation.seed, Purpose.SPLIT)
    if validation.by == "speaker":
        if recordings.speakers is None:
            raise PumiceError(f"{recordings.name} does not say who speaks; set task.validation.by=sample")
        groups = recordings.speakers
        speakers = np.unique(groups)
        count = max(1, round(validation.fraction * len(speakers)))
        held = np.isin(groups, rng.permutation(speakers)[:count])
    else:
        held = np.isin(everything, rng.permutation(everything)[: int(validation.fraction * len(everything))])
    if held.all() or not held.any():
        raise PumiceError(
            f"task.validation.fraction={validation.fraction} of {recordings.name} leaves no samples for training or "
            "for validation; choose another fraction"
        )
    return everything[~held], everything[held]
