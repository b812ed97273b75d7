"""How the files of a folder are labelled, split and read: section ``task.files``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ....errors import PumiceError
from ..times import UNITS
from .aedat import CAMERAS
from .columns import NAMES


@dataclass(frozen=True)
class HeldOut:
    """Which recordings are the test set, where neither folders nor a list say so.

    pattern: regular expression; recordings in whose path it is found are tested, such as ``user2[4-9]``.
    by: without a pattern, ``sample`` for a share of the recordings or ``subject`` for a share of the subjects.
    fraction: the share.
    seed: chooses which.
    """

    pattern: str | None = None
    by: str = "sample"
    fraction: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        _check_pattern("test.pattern", self.pattern, 0)
        if self.by not in ("sample", "subject"):
            raise PumiceError(f"task.files.test.by={self.by} is unknown; choose sample or subject")
        if not 0 < self.fraction < 1:
            raise PumiceError(f"task.files.test.fraction={self.fraction} is out of range; it lies between 0 and 1")


@dataclass(frozen=True)
class FileSettings:
    """Section ``task.files`` of tasks whose recordings are files of a folder.

    listing: a CSV file in the folder, with a line ``path,label[,split[,subject]]`` a recording; None: all files below.
    label: regular expression with one group that finds the label in a path; None: the name of the file's folder.
    subject: regular expression with one group that finds in a path who was recorded.
    label_offset: the lowest label, where labels are numbers.
    test: see `HeldOut`.
    unit: of times, ``us``, ``ms`` or ``s``; None: what the format says, else microseconds.
    columns: the order of columns that have no names.
    polarity: the codes [off, on]; None: told by the files; ``ignore``: for sensors of one polarity.
    camera: how addresses of AEDAT 1 and 2 are laid out, ``dvs128`` or ``davis``.
    """

    listing: str | None = None
    label: str | None = None
    subject: str | None = None
    label_offset: int = 0
    test: HeldOut = field(default_factory=HeldOut)
    unit: str | None = None
    columns: tuple[str, ...] = ("t", "x", "y", "p")
    polarity: str | tuple[int, int] | None = None
    camera: str = "dvs128"

    def __post_init__(self) -> None:
        _check_pattern("label", self.label, 1)
        _check_pattern("subject", self.subject, 1)
        if self.unit is not None and self.unit not in UNITS.values():
            raise PumiceError(f"task.files.unit={self.unit} is unknown; choose one of {', '.join(UNITS.values())}")
        known = {name: column for column, names in NAMES.items() for name in names}
        if len({known.get(name, name) for name in self.columns}) < len(self.columns) or not {"t", "x"} <= {
            known.get(name) for name in self.columns
        }:
            raise PumiceError(f"task.files.columns={list(self.columns)} has to name t and x, and nothing twice")
        coded = isinstance(self.polarity, tuple) and len(set(self.polarity)) == len(self.polarity) == 2
        if not (coded or self.polarity in (None, "ignore")):
            raise PumiceError(f"task.files.polarity={self.polarity} is unknown; give [off, on], null, or ignore")
        if self.camera not in CAMERAS:
            raise PumiceError(f"task.files.camera={self.camera} is unknown; choose one of {', '.join(CAMERAS)}")

    @property
    def unit_us(self) -> int | None:
        """Microseconds of the unit; None where the files say."""
        return next((us for us, name in UNITS.items() if name == self.unit), None)


def file_settings(values: Mapping[str, Any] | None) -> FileSettings:
    """Build the section from plain values.

    Raises:
        PumiceError: a key is unknown, or a value is out of range.
    """
    values = dict(values or {})
    test = dict(values.pop("test", None) or {})
    for where, given, kind in (("task.files", values, FileSettings), ("task.files.test", test, HeldOut)):
        known = [entry.name for entry in fields(kind)]
        for key in given:
            if key not in known:
                raise PumiceError(f"{where}.{key} is unknown; the keys are {', '.join(known)}")
    for key in ("columns", "polarity"):
        if isinstance(values.get(key), list):
            values[key] = tuple(values[key])
    try:
        return FileSettings(test=HeldOut(**test), **values)
    except TypeError as error:
        raise PumiceError(f"the settings of task.files are not complete or not known: {error}") from error


def _check_pattern(name: str, pattern: str | None, groups: int) -> None:
    if pattern is None:
        return
    try:
        found = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise PumiceError(f"task.files.{name}={pattern} is no regular expression ({error})") from None
    if groups and found.groups != groups:
        raise PumiceError(
            f"task.files.{name}={pattern} has {found.groups} groups; put what is looked for in one: (...)"
        )
