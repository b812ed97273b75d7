"""What many recordings look like, looked at once and remembered as long as their files stay as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....archives import save_arrays
from ....program.archive import read_arrays
from ....terminal import track
from ..plausibility import Plausibility
from ..spoken_digits.archive import cache_folder

FEWEST = 1000
"""Files that it is worth remembering for."""
MOST_BYTES = 1 << 28
NUMBERS = ("events", "duration_us", "largest_gap_us", "backwards", "wraps")
CODES = 2
"""Polarities of a recording at most."""


def look_at_all(files: Sequence[Path], about: str, look: Callable[[Path], Plausibility]) -> list[Plausibility]:
    """Reports of files, read anew unless there are many and none of them has changed.

    Args:
        files: paths.
        about: everything else that the reports depend on.
        look: from a path to its report.

    Raises:
        PumiceError: a file cannot be read, or cannot be a recording.
    """
    if len(files) < FEWEST:
        return [look(file) for file in files]
    target = cache_folder() / "looked-at" / f"{_digest(files, about)}.npz"
    try:
        return _unpacked(read_arrays(target, MOST_BYTES), len(files))
    except (OSError, ValueError, LookupError):
        reports = [look(file) for file in track(files, "looking at recordings")]
    save_arrays(target, _packed(reports))
    return reports


def _digest(files: Sequence[Path], about: str) -> str:
    total = hashlib.sha256(about.encode())
    for file in files:
        found = file.stat()
        total.update(f"{file}\0{found.st_size}\0{found.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return total.hexdigest()[:24]


def _packed(reports: Sequence[Plausibility]) -> dict[str, NDArray]:

    rows = {name: [getattr(report, name) for report in reports] for name in (*NUMBERS, "lowest", "highest")}
    arrays = {name: np.array(values, dtype=np.int64).reshape(len(reports), -1) for name, values in rows.items()}
    arrays["polarities"] = np.array([(*report.polarities, 0, 0)[:CODES] for report in reports], dtype=np.int64)
    arrays["codes"] = np.array([len(report.polarities) for report in reports], dtype=np.int64)

    return arrays


def _unpacked(arrays: dict[str, NDArray], count: int) -> list[Plausibility]:
    known = arrays["codes"].reshape(count).tolist()
    numbers = {name: arrays[name].reshape(count).tolist() for name in NUMBERS}
    rows = {name: [tuple(row) for row in arrays[name].tolist()] for name in ("lowest", "highest", "polarities")}
    if {len(row) for row in rows.values()} != {count}:
        raise ValueError("it holds other recordings")
    rows["polarities"] = [code[:of] for code, of in zip(rows["polarities"], known, strict=True)]
    columns = {**numbers, **rows}
    return [Plausibility(**{name: column[index] for name, column in columns.items()}) for index in range(count)]
