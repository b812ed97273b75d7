"""Which files of a folder are recordings, of which class and subject, and in which split."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ....errors import PumiceError
from ....files import check_inside, read_text
from ..streams import Purpose, stream
from .settings import FileSettings, HeldOut

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""What folders and lists call the splits, in lower case."""
LISTED = ("path", "label", "split", "subject")


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording: its path below the folder, and what is known of it, as text; None where nothing is."""

    path: str
    label: str
    split: str | None = None
    subject: str | None = None


@dataclass(frozen=True)
class Listing:
    """The recordings of a folder.

    Attributes:
        root: the folder.
        class_names: in order of their label.
        entries: in order of their path, or of the list.
    """

    root: Path
    class_names: tuple[str, ...]
    entries: tuple[Entry, ...]

    def of_split(self, split: str) -> list[Entry]:
        """The recordings of ``train``, ``validation`` or ``test``.

        Raises:
            PumiceError: there are none.
        """
        found = [entry for entry in self.entries if entry.split == split]
        if not found:
            cure = "set task.validation.by=sample" if split == "validation" else "add some, or change task.files.test"
            raise PumiceError(f"{self.root} holds no recordings for {split}; {cure}")
        return found

    def labels(self, entries: Sequence[Entry]) -> np.ndarray:
        """Their classes (n,) int64."""
        number = {name: index for index, name in enumerate(self.class_names)}
        return np.array([number[entry.label] for entry in entries], dtype=np.int64)

    def subjects(self, entries: Sequence[Entry]) -> np.ndarray | None:
        """Who was recorded (n,) int64, the number in their name, or their place in order; None where unknown."""
        names = [entry.subject for entry in entries]
        if any(name is None for name in names):
            return None
        everybody = sorted({entry.subject for entry in self.entries if entry.subject is not None})
        if all(map(_is_small, everybody)):
            return np.array([int(name) for name in names if name is not None], dtype=np.int64)
        number = {name: index for index, name in enumerate(everybody)}
        return np.array([number[name] for name in names if name is not None], dtype=np.int64)


def list_folder(root: Path, settings: FileSettings, suffixes: Collection[str], every: str | None = None) -> Listing:
    """Find the recordings of a folder.

    Splits are told by a list, or by folders called as in `SPLIT_NAMES` at the top; where neither tells, a test set is
    held out (`settings.HeldOut`).

    Args:
        root: the folder; nothing in it may lead outside.
        settings: how to label and split.
        suffixes: how names of recordings end, in lower case.
        every: the split of all of them; None where it is to be told.

    Raises:
        PumiceError: no folder, a link that leads outside, a path without a label, or labels that are none.
    """
    if not root.is_dir():
        raise PumiceError(f"{root} is no folder; set task.root to the folder of the recordings")
    check_inside(root)
    if settings.listing is None:
        entries = [_entry(path, settings) for path in _files(root, suffixes)]
    else:
        entries = _listed(root, settings)
    if not entries:
        raise PumiceError(f"{root} holds no files that end in {', '.join(sorted(suffixes))}; set task.root to others")
    names = _class_names({entry.label for entry in entries}, settings.label_offset, root)
    if every is not None:
        entries = [replace(entry, split=every) for entry in entries]
    elif not any(entry.split == "test" for entry in entries):
        entries = _hold_out(root, entries, settings.test)
    return Listing(root, names, tuple(entries))


def _files(root: Path, suffixes: Collection[str]) -> list[str]:
    found = []
    for place, _, names in os.walk(root):
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                found.append(Path(place, name).relative_to(root).as_posix())
    return sorted(found)


def _entry(path: str, settings: FileSettings) -> Entry:
    parts = path.split("/")
    split = SPLIT_NAMES.get(parts[0].lower()) if len(parts) > 1 else None
    label = parts[-2] if len(parts) > (1 if split is None else 2) else None
    if settings.label is not None:
        label = _found(settings.label, path)
    if label is None:
        cure = "task.files.label finds nothing in it" if settings.label else "put it into a folder of its class"
        raise PumiceError(f"{path} has no label: {cure}, or give a pattern as task.files.label")
    return Entry(path, label, split, _subject(path, settings))


def _subject(path: str, settings: FileSettings) -> str | None:
    if settings.subject is None:
        return None
    found = _found(settings.subject, path)
    if found is None:
        raise PumiceError(f"task.files.subject={settings.subject} finds nobody in {path}; change the pattern")
    return found


def _found(pattern: str, path: str) -> str | None:
    match = re.search(pattern, path)
    return match.group(1) if match else None


def _listed(root: Path, settings: FileSettings) -> list[Entry]:
    """The recordings that a CSV file lists; a first line of names may stand at its top."""
    source = inside(root, settings.listing or "")
    try:
        rows = [row for row in csv.reader(io.StringIO(read_text(source))) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise PumiceError(f"{source} cannot be read as a list of recordings ({error}); write it as CSV") from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    named = header[:2] == list(LISTED[:2])
    order = header if named else list(LISTED[: len(header)])
    if not set(order) <= set(LISTED) or len(set(order)) < len(order):
        raise PumiceError(f"{source} names the columns {', '.join(order)}; known are {', '.join(LISTED)}")
    entries = []
    for number, row in enumerate(rows[named:], start=1 + named):
        if len(row) != len(order) or len(row) < 2:
            raise PumiceError(f"{source}: line {number} has {len(row)} cells, not the {len(order)} of the first line")
        cells = {name: cell.strip() for name, cell in zip(order, row, strict=True)}
        inside(root, cells["path"])
        split = cells.get("split") or None
        if split is not None and split.lower() not in SPLIT_NAMES:
            raise PumiceError(f"{source}: line {number} has the split {split}; known are {', '.join(SPLIT_NAMES)}")
        subject = cells.get("subject") or _subject(cells["path"], settings)
        entries.append(Entry(cells["path"], cells["label"], split and SPLIT_NAMES[split.lower()], subject))
    without = [entry.path for entry in entries if entry.split is None]
    if without and len(without) < len(entries):
        raise PumiceError(f"{source} gives {without[0]} no split, but others have one; give all of them one, or none")
    return entries


def inside(root: Path, path: str) -> Path:
    """The place of a path that a list gives, below ``root``.

    Raises:
        PumiceError: it leads outside.
    """
    if not path or "\0" in path or not Path(os.path.realpath(root / path)).is_relative_to(os.path.realpath(root)):
        raise PumiceError(f"{path!r} does not lie in {root}; give paths below task.root")
    return root / path


def _is_small(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 10


def _class_names(found: set[str], offset: int, root: Path) -> tuple[str, ...]:
    """Class names in order: of numbers all from ``offset`` to the largest, else those that occur, sorted."""
    if not all(map(_is_small, found)):
        return tuple(sorted(found))
    numbers = {int(name) for name in found}
    if len(numbers) < len(found) or min(numbers) < offset or max(numbers) - offset > 10 * len(numbers) + 100:
        raise PumiceError(
            f"{root} has the labels {min(numbers)} to {max(numbers)}, and task.files.label_offset={offset} is the "
            "lowest allowed; change it, or number the classes one after the other"
        )
    written = {int(name): name for name in found}
    return tuple(written.get(number, str(number)) for number in range(offset, max(numbers) + 1))


def _hold_out(root: Path, entries: list[Entry], settings: HeldOut) -> list[Entry]:
    rng = stream(settings.seed, Purpose.SPLIT)
    if settings.pattern is not None:
        tested = [re.search(settings.pattern, entry.path) is not None for entry in entries]
    else:
        groups = [entry.path if settings.by == "sample" else entry.subject for entry in entries]
        if None in groups:
            raise PumiceError("task.files.test.by=subject: nobody is named; give a pattern as task.files.subject")
        order = rng.permutation(sorted({group for group in groups if group is not None}))
        chosen = set(order[: max(1, round(settings.fraction * len(order)))].tolist())
        tested = [group in chosen for group in groups]
    if all(tested) or not any(tested):
        raise PumiceError(
            f"{root}: task.files.test holds {sum(tested)} of {len(tested)} recordings out for the test; change it"
        )
    return [
        replace(entry, split="test" if test else entry.split or "train")
        for entry, test in zip(entries, tested, strict=True)
    ]
