"""Rows of numbers of many samples, in a file that is mapped: a training set's may be more than memory holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import PumiceError


class RowWriter:
    """Writes the rows of one sample after the other.

    Args:
        path: of the file, which is replaced.
        width: of a row.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._width = path, width
        self._counts: list[int] = []
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise PumiceError(f"{path} cannot be written ({error.strerror}); make room there") from error

    def append(self, rows: NDArray[np.float32]) -> None:
        """Rows (n, width) of the next sample.

        Raises:
            PumiceError: the disk is full.
        """
        try:
            self._file.write(np.ascontiguousarray(rows, dtype=np.float32).tobytes())
        except OSError as error:
            raise PumiceError(f"{self._path} cannot be written ({error.strerror}); make room there") from error
        self._counts.append(len(rows))

    def close(self) -> Rows:
        """What was written."""
        self._file.close()
        return Rows(self._path, self._width, np.cumsum([0, *self._counts]))


class Rows:
    """The rows of each sample by its number, read when they are asked for.

    Args:
        path: of the file.
        width: of a row.
        starts: (N + 1,), the first row of each sample, and the end.
    """

    def __init__(self, path: Path, width: int, starts: NDArray[np.int64]) -> None:
        shape = (int(starts[-1]), width)
        self._values = np.memmap(path, np.float32, "r", shape=shape) if starts[-1] else np.zeros(shape, np.float32)
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def of(self, samples: tuple[int, ...]) -> NDArray[np.float32]:
        """Those of some samples, (B, most rows, width), filled up with zeros."""
        counts = [int(self._starts[index + 1] - self._starts[index]) for index in samples]
        found = np.zeros((len(samples), max(counts, default=0), self._values.shape[1]), dtype=np.float32)
        for place, (index, count) in enumerate(zip(samples, counts, strict=True)):
            found[place, :count] = self._values[self._starts[index] : self._starts[index] + count]
        return found
