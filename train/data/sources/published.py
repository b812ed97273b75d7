"""Published camera sets whose recordings are a file each, where tonic keeps them.

N-MNIST and N-Caltech101 (Orchard et al. 2015), CIFAR10-DVS (Li et al. 2017), ASL-DVS (Bi et al. 2019) and DVS-Lip (Tan
et al. 2022). tonic lists some of them in the order of the disk, and ends the process where DVS-Lip is missing; here
files are listed by path, and what is missing is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tonic.datasets

from ....errors import PumiceError
from ..files.columns import Columns
from ..files.listing import list_folder
from ..files.opening import read_columns
from ..files.recordings import FileRecordings
from ..recordings import Recordings
from ..task import TaskConfig
from .fetch import fetch, root_of


@dataclass(frozen=True)
class Published:
    """How a set lies in ``root``.

    Attributes:
        folder: below ``root``, as tonic has it; ``{split}`` is Train or Test, where the set has a test split.
        suffixes: how names of recordings end.
        class_names: in order of their label; None for the names of the folders, sorted.
        download: what lets tonic fetch it into a folder; None where it cannot.
        cure: what to do where it cannot.
        splits: what the folders of the splits are called; None where the set has none.
        change: what is done to the columns of a file.
    """

    folder: str
    suffixes: tuple[str, ...]
    class_names: tuple[str, ...] | None = None
    download: Callable[[str, bool], object] | None = None
    cure: str = ""
    splits: tuple[str, str] | None = None
    change: Callable[[Columns], Columns] | None = None


def to_corner(columns: Columns) -> Columns:
    """Positions from the lowest on: recordings of N-Caltech101 are of many sizes, as their pictures are."""
    if columns.y is None or not len(columns.x):
        return columns
    return replace(columns, x=columns.x - columns.x.min(), y=columns.y - columns.y.min())


def upside_down(columns: Columns) -> Columns:
    """Rows of 180 counted from the other side, as tonic reads ASL-DVS."""
    return columns if columns.y is None else replace(columns, y=179 - columns.y.astype(np.int64))


SETS: dict[str, Published] = {
    "nmnist": Published(
        "NMNIST",
        (".bin",),
        tuple(str(digit) for digit in range(10)),
        lambda root, train: tonic.datasets.NMNIST(root, train=train),
        splits=("Train", "Test"),
    ),
    "ncaltech101": Published(
        "NCALTECH101/Caltech101",
        (".bin",),
        download=lambda root, train: tonic.datasets.NCALTECH101(root),
        change=to_corner,
    ),
    "cifar10-dvs": Published(
        "CIFAR10DVS",
        (".aedat4", ".aedat"),
        tuple(tonic.datasets.CIFAR10DVS.classes),
        lambda root, train: tonic.datasets.CIFAR10DVS(root),
    ),
    "asl-dvs": Published(
        "ASLDVS",
        (".mat",),
        download=lambda root, train: tonic.datasets.ASLDVS(root),
        change=upside_down,
    ),
    "dvs-lip": Published(
        "DVSLip/DVS-Lip",
        (".npy",),
        tuple(tonic.datasets.DVSLip.classes),
        cure="fetch DVS-Lip.zip by hand, as its authors ask, and unpack it there",
        splits=("train", "test"),
    ),
}


def open_published(task: TaskConfig, split: str) -> Recordings:
    """Open a split of one of `SETS`; where a set has no test split, `task.files.test` holds one out.

    Raises:
        PumiceError: the files are missing, or damaged.
    """
    of = SETS[task.source]
    base = root_of(task) / of.folder
    folder = base if of.splits is None else base / of.splits[split == "test"]
    if not _any_file(folder, of.suffixes):
        if of.download is None:
            raise PumiceError(f"data set {task.name}: {folder} holds none of its files; {of.cure}")
        download = of.download
        fetch(task, folder, lambda: download(str(root_of(task)), split != "test"))
    listing = list_folder(folder, task.files, of.suffixes, None if of.splits is None else split)
    entries = listing.of_split(split)
    names = of.class_names or listing.class_names
    unknown = sorted(set(listing.class_names) - set(names))
    if unknown or len(names) != task.num_classes:
        found = f"a class {unknown[0]}" if unknown else f"{len(names)} classes"
        raise PumiceError(f"{folder} has {found}, which task {task.name} has not; set task.root to the right folder")
    number = {name: index for index, name in enumerate(names)}
    labels = np.array([number[entry.label] for entry in entries], dtype=np.int64)
    files = [listing.root / entry.path for entry in entries]
    read = Reading(task.files.columns, task.files.camera, of.change)
    return FileRecordings(
        str(folder),
        files,
        labels,
        names,
        listing.subjects(entries),
        read,
        task.sensor,
        task.files,
        task.unwrap_times,
    )


@dataclass(frozen=True)
class Reading:
    """Reads the columns of a file, and changes them."""

    order: tuple[str, ...]
    camera: str
    change: Callable[[Columns], Columns] | None

    def __call__(self, file: Path) -> Columns:
        """The columns of a file."""
        columns = read_columns(file, self.order, self.camera)
        return columns if self.change is None else self.change(columns)


def _any_file(folder: Path, suffixes: tuple[str, ...]) -> bool:
    return any(path.suffix.lower() in suffixes for path in folder.rglob("*"))
