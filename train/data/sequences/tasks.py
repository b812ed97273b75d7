"""The sequence tasks and their settings (configs/task/, by ``kind``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ....errors import PumiceError
from ..sources.registry import OWN_VALIDATION, open_recordings
from ..task import TaskConfig, Validation, task_config
from .binned import BinnedSet
from .bsd import bsd_set
from .ecg import CLASSES, UNLABELLED, open_ecg
from .oscillation import MASSES, oscillation_set
from .sets import SequenceSet


@dataclass(frozen=True, kw_only=True)
class SequenceTask(ABC):
    """What sequence tasks share.

    name: what the task is called in figures and folders.
    validation: how validation samples are found, see ``task.Validation``.
    select_on: the split that chooses the checkpoint, ``validation`` or ``test``, see ``task.TaskConfig``.
    """

    regression: ClassVar[bool] = False
    name: str
    validation: Validation = field(default_factory=Validation)
    select_on: str = "validation"

    def __post_init__(self) -> None:
        if self.select_on not in ("validation", "test"):
            raise PumiceError(f"task.select_on={self.select_on} is unknown; choose one of validation, test")
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.type == "int" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise PumiceError(f"task.{entry.name}={value} has to be a whole number of at least 0")

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Classes, or predicted values."""

    @property
    @abstractmethod
    def in_features(self) -> int:
        """Width of the input."""

    @property
    def own_validation(self) -> bool:
        """Whether the task brings a validation split of its own."""
        return False

    @property
    def step_us(self) -> int:
        """Microseconds of a step, 1000 where the task gives its steps no length."""
        return 1000

    @abstractmethod
    def open(self, split: str) -> SequenceSet:
        """The sequences of ``train``, ``test``, or ``validation`` where the task brings it.

        Raises:
            PumiceError: the files are missing or damaged.
        """

    def other_protocols(self) -> dict[str, SequenceTask]:
        """Other ways to count that figures are reported by as well, by name."""
        return {}


@dataclass(frozen=True, kw_only=True)
class EcgTask(SequenceTask):
    """Waves of electrocardiograms step by step, see ``ecg``.

    root: folder of the files; unlabelled: what becomes of unlabelled steps, ``first-class`` or ``ignore``.
    """

    root: str | None = None
    unlabelled: str = "first-class"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unlabelled not in UNLABELLED:
            raise PumiceError(f"task.unlabelled={self.unlabelled} is unknown; choose one of {', '.join(UNLABELLED)}")

    outputs = property(lambda self: len(CLASSES))
    in_features = property(lambda self: 4)
    step_us = property(lambda self: 4000)  # the QT database is sampled at 250 Hz

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        if self.root is None:
            raise PumiceError("task ecg is not embedded; give the folder that holds QTDB_train.mat as task.root")
        return open_ecg(Path(self.root).expanduser(), split, self.unlabelled)

    def other_protocols(self) -> dict[str, SequenceTask]:
        """Labelled steps alone, and all steps."""
        names = {"first-class": "all steps", "ignore": "labelled steps"}
        return {names[other]: replace(self, unlabelled=other) for other in UNLABELLED if other != self.unlabelled}


@dataclass(frozen=True, kw_only=True)
class GeneratedTask(SequenceTask):
    """A task whose samples are generated, and split by a permutation of their own.

    samples: of all splits together; seed: of the samples and of the split.
    """

    shares: ClassVar[tuple[float, float]]  # of training and validation
    samples: int
    seed: int = 42
    validation: Validation = field(default_factory=lambda: Validation(by="own"))

    @property
    def own_validation(self) -> bool:
        """Its split is part of the task."""
        return True

    @abstractmethod
    def generate(self) -> SequenceSet:
        """All samples."""

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        return self.generate().subset(self.split()[split])

    def split(self) -> dict[str, NDArray[np.int64]]:
        """The numbers of the samples of each split."""
        order = torch.randperm(self.samples, generator=torch.Generator().manual_seed(self.seed)).numpy()
        train, validation = (round(share * self.samples) for share in self.shares)
        parts = np.split(order, [train, train + validation])
        if not all(map(len, parts)):
            raise PumiceError(f"task.samples={self.samples} is too few for three splits; raise it")
        return dict(zip(("train", "validation", "test"), parts, strict=True))


@dataclass(frozen=True, kw_only=True)
class BsdTask(GeneratedTask):
    """Burst sequence detection, see ``bsd``; ``num_classes``: kinds of bursts."""

    shares = (0.7, 0.1)
    samples: int = 8000
    num_classes: int = 20

    outputs = property(lambda self: self.num_classes)
    in_features = property(lambda self: 10)

    def generate(self) -> SequenceSet:
        """See `GeneratedTask.generate`."""
        return bsd_set(self.num_classes, self.samples, self.seed)


@dataclass(frozen=True, kw_only=True)
class OscillationTask(GeneratedTask):
    """Prediction of an oscillation, see ``oscillation``; ``shared_springs``: all samples have the same springs."""

    regression = True
    shares = (0.8, 0.1)
    samples: int = 4096
    shared_springs: bool = False

    outputs = property(lambda self: MASSES)
    in_features = property(lambda self: MASSES)

    def generate(self) -> SequenceSet:
        """See `GeneratedTask.generate`."""
        return oscillation_set(self.samples, self.seed, self.shared_springs)


@dataclass(frozen=True, kw_only=True)
class BinnedTask(SequenceTask):
    """An event task of one-dimensional sensors, counted in bins of time; see ``binned.bin_events``.

    source, root, download, num_classes, channels, augmentation: of the events, see ``task.TaskConfig``.
    group: neighbouring channels that are counted together.
    bin_ms: milliseconds of a bin.
    fewest_bins: shorter recordings are padded with empty bins, which count like others.
    ignored_bins: the first bins, which do not count in the logits.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("group", "bin_ms"):
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
        keys = ("name", "source", "num_classes", "root", "download", "augmentation")
        return task_config({key: getattr(self, key) for key in keys} | {"sensor": (self.channels,)})

    outputs = property(lambda self: self.num_classes)
    in_features = property(lambda self: self.channels // self.group)
    step_us = property(lambda self: 1000 * self.bin_ms)

    @property
    def own_validation(self) -> bool:
        """Whether the source brings a validation split."""
        return self.source in OWN_VALIDATION

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        return BinnedSet(open_recordings(self.events, split), self)


KINDS: dict[str, type[SequenceTask]] = {
    "ecg": EcgTask,
    "bsd": BsdTask,
    "oscillation": OscillationTask,
    "binned": BinnedTask,
}


def sequence_task(values: Mapping[str, Any]) -> SequenceTask:
    """Build the task from plain values, as they stand in configs/task/*.yaml.

    Raises:
        PumiceError: a key is unknown or missing, or a value is out of range.
    """
    values = dict(values)
    kind = values.pop("kind", None)
    if kind not in KINDS:
        raise PumiceError(f"task.kind={kind} is unknown; choose one of {', '.join(KINDS)}")
    known = [entry.name for entry in fields(KINDS[kind])]
    for key in values:
        if key not in known:
            raise PumiceError(f"task.{key} is unknown; the keys are {', '.join(known)}")
    try:
        if values.get("validation") is not None:
            values["validation"] = Validation(**values["validation"])
        return KINDS[kind](**values)
    except TypeError as error:
        raise PumiceError(f"the settings of task.kind={kind} are not complete or not known: {error}") from error
