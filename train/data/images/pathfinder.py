"""Pathfinder (Linsley et al. 2018) as the Long Range Arena publishes it: are two dots joined by a dashed line?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ....errors import PumiceError
from ..advice import CORRECT_OR_FETCH
from ..files.columns import open_limited, read_limited
from ..sequences.batch import BlockBatch, whole_sequences
from ..sequences.sets import SequenceSet, Streams
from ..sequences.task import SequenceTask
from ..streams import Purpose, stream

LEVELS = {
    "easy": "curv_baseline",
    "intermediate": "curv_contour_length_9",
    "hard": "curv_contour_length_14",
}
SIDES = (32, 64, 128, 256)
CLASSES = ("apart", "joined")
MOST_BYTES = 1 << 20
"""Of an image."""


class PathfinderSet(SequenceSet):
    """Images as sequences of one grey value a step, from -1 to 1; read when they are asked for.

    Args:
        name: for messages.
        paths: of the images.
        labels: int64 (N,).
        side: pixels of an edge.
    """

    in_features = 1
    class_names = CLASSES

    def __init__(self, name: str, paths: Sequence[Path], labels: NDArray[np.int64], side: int) -> None:
        self.name, self.paths, self.labels, self.side = name, paths, labels, side
        self.lengths = np.full(len(paths), side * side, dtype=np.int64)

    def subset(self, chosen: NDArray[np.int64]) -> PathfinderSet:
        """See `SequenceSet.subset`."""
        return PathfinderSet(self.name, [self.paths[index] for index in chosen], self.labels[chosen], self.side)

    def batch(self, samples: Sequence[int], streams: Streams | None) -> BlockBatch:
        """See `SequenceSet.batch`."""
        rows = list(samples)
        pixels = np.stack([read_grey(self.paths[index], self.side).reshape(-1, 1) for index in rows])
        values = torch.from_numpy(pixels.astype(np.float32) / np.float32(127.5) - 1)
        return whole_sequences(values, self.labels[rows], self.lengths[rows])


def read_grey(path: Path, side: int) -> NDArray[np.uint8]:
    """The grey values (side, side) of a PNG file.

    Raises:
        PumiceError: it cannot be read, or has another size.
    """
    try:
        with open_limited(path, MOST_BYTES) as file, Image.open(file, formats=("PNG",)) as image:
            if image.size != (side, side):
                raise ValueError(f"it has {image.size[0]} x {image.size[1]} pixels, not {side} x {side}")
            return np.asarray(image.convert("L"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PumiceError(f"{path} cannot be read as an image ({error}); {CORRECT_OR_FETCH}") from error


@dataclass(frozen=True, kw_only=True)
class PathfinderTask(SequenceTask):
    """Pathfinder, or Path-X at 128 pixels: a tenth of the images tests, by a fixed permutation.

    root: folder that holds ``pathfinder<side>``, or its folder lra_release.
    side: pixels of an edge: 32, 64, 128 or 256.
    level: ``easy``, ``intermediate`` or ``hard`` (the length of the line).
    """

    root: str | None = None
    side: int = 32
    level: str = "hard"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, allowed in (("side", self.side, SIDES), ("level", self.level, tuple(LEVELS))):
            if value not in allowed:
                raise PumiceError(f"task.{name}={value} is unknown; choose one of {', '.join(map(str, allowed))}")

    outputs = property(lambda self: len(CLASSES))
    in_features = property(lambda self: 1)

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        root = self.folder(self.root)
        inner = Path(f"pathfinder{self.side}") / LEVELS[self.level]
        base = next((root / top / inner for top in ("", "lra_release") if (root / top / inner).is_dir()), None)
        if base is None:
            raise PumiceError(f"{root / inner} does not exist; set task.root to the folder that holds {inner.parent}")
        entries = [entry for path in sorted((base / "metadata").glob("*.npy")) for entry in _described(base, path)]
        if len(entries) < 10:
            raise PumiceError(
                f"{base / 'metadata'} describes {len(entries)} images, 10 are the least; {CORRECT_OR_FETCH}"
            )
        order = stream(0, Purpose.SPLIT, number=1).permutation(len(entries))
        cut = len(order) // 10
        chosen = np.sort(order[:cut] if split == "test" else order[cut:])
        labels = np.array([entries[index][1] for index in chosen], dtype=np.int64)
        return PathfinderSet(str(base), [entries[index][0] for index in chosen], labels, self.side)


def _described(base: Path, path: Path) -> list[tuple[Path, int]]:
    """Image and label of each line of a list, which is text whatever its name says; empty images are left out.

    Raises:
        PumiceError: a line of other form.
    """
    found = []
    try:
        for number, line in enumerate(read_limited(path).decode("ascii").splitlines(), 1):
            words = line.split()
            if len(words) < 4 or words[3] not in ("0", "1"):
                raise ValueError(f"line {number} has no label in its fourth column")
            parts = (*words[0].split("/"), words[1])
            if any(part in ("", ".", "..") or "\\" in part for part in parts) or "/" in words[1]:
                raise ValueError(f"line {number} names a file outside of the set")
            image = base.joinpath(*parts)
            if image.is_file() and image.stat().st_size:  # a published file is empty
                found.append((image, int(words[3])))
    except (OSError, ValueError) as error:
        raise PumiceError(f"{path} cannot be read as a list of images ({error}); {CORRECT_OR_FETCH}") from error
    return found
