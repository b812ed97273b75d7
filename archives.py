"""Arrays by name in ``.npz`` files: written whole or not at all, and read back within what they declare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import PumiceError
from .files import atomic_path
from .program.archive import read_arrays

MOST_RESULTS = 1 << 29
"""Bytes of all arrays of a result."""


def save_arrays(target: Path, arrays: Mapping[str, np.ndarray], *, compress: bool = False) -> None:
    """Write arrays by name as an ``.npz``, atomically.

    Raises:
        PumiceError: the folder cannot be written to, or the disk is full.
    """
    named: dict[str, Any] = dict(arrays)
    with atomic_path(target) as path:
        (np.savez_compressed if compress else np.savez)(path, **named)


def load_arrays(source: Path, stage: str) -> dict[str, np.ndarray]:
    """All arrays of the ``.npz`` that ``stage`` wrote; see `program.archive.read_arrays`.

    Raises:
        PumiceError: it is missing or damaged.
    """
    try:
        return read_arrays(source, MOST_RESULTS)
    except (OSError, ValueError) as error:
        raise PumiceError(f"{source} cannot be read ({error}); write it anew with redo=[{stage}]") from error
