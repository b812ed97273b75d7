"""Reading arrays that a stage wrote."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import PumiceError

DAMAGE = (OSError, EOFError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged ``.npz`` raises."""


def load_arrays(source: Path, stage: str) -> dict[str, np.ndarray]:
    """All arrays of the ``.npz`` that ``stage`` wrote.

    Raises:
        PumiceError: it is missing or damaged.
    """
    try:
        with np.load(source, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except DAMAGE as error:
        raise PumiceError(f"{source} cannot be read ({error}); write it anew with redo=[{stage}]") from error
