"""The sequence tasks and their settings (configs/task/, by ``kind``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ....errors import PumiceError
from ..task import JUDGES, Validation
from .sets import SequenceSet


@dataclass(frozen=True, kw_only=True)
class SequenceTask(ABC):
    """What sequence tasks share.

    name: what the task is called in figures and folders.
    validation: how validation samples are found, see ``task.Validation``.
    select_on: the split that chooses the checkpoint, ``validation``, ``test`` or ``none``, see ``task.TaskConfig``.
    """

    regression: ClassVar[bool] = False
    reads_tokens: ClassVar[bool] = False
    answers: ClassVar[str] = "sequence"  # a class of each: sequence, step, pair; or of each step: value, forecast
    name: str
    validation: Validation = field(default_factory=Validation)
    select_on: str = "validation"

    def __post_init__(self) -> None:
        if self.select_on not in JUDGES:
            raise PumiceError(f"task.select_on={self.select_on} is unknown; choose one of {', '.join(JUDGES)}")
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
    def vocab(self) -> int | None:
        """How many tokens there are, where inputs are tokens (T,) and not vectors."""
        return None

    @property
    def own_validation(self) -> bool:
        """Whether the task brings a validation split of its own."""
        return False

    @property
    def step_us(self) -> int | None:
        """Microseconds of a step; None where the task gives its steps no length."""
        return None

    def folder(self, root: str | None) -> Path:
        """The folder of the task's files.

        Raises:
            PumiceError: none is given.
        """
        if root is None:
            raise PumiceError(f"task {self.name} is not embedded; give the folder with its files as task.root")
        return Path(root).expanduser()

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
