"""Waves of electrocardiograms, labelled step by step: the QT database (Laguna et al. 1997), delta coded.

The files are those of Yin, Corradi and Bohte (2021): ``QTDB_train.mat`` and ``QTDB_test.mat``, MATLAB version 5, with
``x`` (N, T, 4) in {-1, 0, 1}, the changes of two leads upwards and downwards, and ``y`` (N, T, 6), one-hot. Some steps
have a row of zeros for a label: they are unlabelled, and an argmax takes them for class 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ..advice import CORRECT_OR_FETCH
from ..files.matlab import read_variables
from .batch import IGNORED
from .sets import BlockSet, SequenceSet
from .task import SequenceTask

CLASSES = ("P", "PQ", "QR", "RS", "ST", "TP")

UNLABELLED = ("first-class", "ignore")


def open_ecg(root: str | Path, split: str, unlabelled: str) -> BlockSet:
    """Read ``root``/QTDB_<split>.mat, also if it lies in a folder QTDB of ``root``.

    Every step is a block of its own.

    Args:
        root: folder of the files.
        split: ``train`` or ``test``.
        unlabelled: ``first-class`` takes unlabelled steps for class 0, as published figures do; ``ignore`` leaves
            them out of loss and figures.

    Raises:
        PumiceError: the file is missing or holds something else.
    """
    name = f"QTDB_{split}.mat"
    path = next((path for path in (Path(root) / name, Path(root) / "QTDB" / name) if path.is_file()), None)
    if path is None:
        raise PumiceError(f"{Path(root) / name} does not exist; set task.root to the folder that holds {name}")
    x, y = _read(path)
    labels = y.argmax(axis=2).astype(np.int64)
    if unlabelled == "ignore":
        labels[~y.any(axis=2)] = IGNORED
    targets = np.concatenate([np.full((len(labels), 1), IGNORED), labels], axis=1)
    return BlockSet(str(path), CLASSES, x, np.arange(1, x.shape[1] + 1), targets)


def _read(path: Path) -> tuple[NDArray, NDArray]:
    try:
        content = read_variables(path)
        x, y = content["x"], content["y"]
    except (OSError, ValueError, LookupError) as error:
        raise PumiceError(
            f"{path} cannot be read as a MATLAB file with x and y ({error}); {CORRECT_OR_FETCH}"
        ) from error
    if x.ndim != 3 or x.shape[2] != 4 or y.shape != (*x.shape[:2], len(CLASSES)) or not x.size:
        found = f"x of shape {x.shape} and y of shape {y.shape}"
        raise PumiceError(f"{path} holds {found}, not (N, T, 4) and (N, T, {len(CLASSES)}); {CORRECT_OR_FETCH}")
    if not (np.isin(x, (-1, 0, 1)).all() and np.isin(y, (0, 1)).all() and (y.sum(axis=2) <= 1).all()):
        raise PumiceError(f"{path} is not delta coded (-1, 0, 1) with one label a step at most; {CORRECT_OR_FETCH}")
    return x.astype(np.int8), y


@dataclass(frozen=True, kw_only=True)
class EcgTask(SequenceTask):
    """Waves of electrocardiograms step by step, see ``ecg``.

    root: folder of the files; unlabelled: what becomes of unlabelled steps, ``first-class`` or ``ignore``.
    """

    answers = "step"
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
