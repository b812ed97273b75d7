"""The HDF5 layout of the Heidelberg spiking data sets (Cramer et al. 2020, arXiv 1910.07407).

``spikes/times`` (seconds, float16) and ``spikes/units`` (channels) are arrays of variable length, one a recording;
``labels``, ``extra/keys`` (class names) and ``extra/speaker`` stand beside them. The whole file is read once and kept
in its stored types, 4 bytes an event; event arrays equal those of tonic's ``SHD`` and ``SSC``. These truncate float16
seconds to microseconds, far below their resolution of 0.06 to 0.5 ms. Wider seconds are rounded.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ....hdf5 import open_hdf5
from ..advice import CORRECT_OR_FETCH
from ..plausibility import Plausibility, look_at, unwrap
from ..recordings import Events, make_events, sort_by_time
from ..times import microseconds

ENTRIES = ("spikes/times", "spikes/units", "labels", "extra/keys")
ROWS_AT_ONCE = 1024


class ShdRecordings:
    """Recordings of one file in SHD's layout; see ``recordings.Recordings``.

    Args:
        path: the HDF5 file.
        channels: number of channels; every unit has to lie below.
        num_classes: C; every label has to lie below, and the file's class names have to be as many. 0: as it names.
        unwrap_times: count on where a clock of 32 bits began anew.

    Raises:
        PumiceError: the file cannot be read, or holds something else, such as a recording that cannot be one.
    """

    def __init__(self, path: str | Path, channels: int, num_classes: int, unwrap_times: bool = False) -> None:
        self.name, self._unwrap = str(path), unwrap_times
        try:
            with open_hdf5(path) as file:
                missing = [entry for entry in ENTRIES if entry not in file]
                if missing:
                    raise ValueError(f"it has no {missing[0]}")
                self._times, counts = _read_ragged(file.data("spikes/times"))
                self._units, unit_counts = _read_ragged(file.data("spikes/units"))
                self.labels = _whole_numbers(file.data("labels"))
                names = [_text(name) for name in file.data("extra/keys")[()]]
                known = "extra/speaker" in file
                self.speakers = _whole_numbers(file.data("extra/speaker")) if known else None
        except (OSError, LookupError, RuntimeError, ValueError, TypeError, MemoryError) as error:
            raise PumiceError(
                f"{path} cannot be read as an HDF5 file in SHD's layout ({error}); {CORRECT_OR_FETCH}"
            ) from error
        self.class_names: tuple[str, ...] = tuple(names)
        self.lengths = counts
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._check(unit_counts, channels, num_classes)
        self._reports = [self._look_at(index, channels) for index in range(len(self.lengths))]

    def _check(self, unit_counts: NDArray[np.int64], channels: int, num_classes: int) -> None:
        if not np.array_equal(self.lengths, unit_counts) or len(self.labels) != len(self.lengths):
            self._refuse("its times, units and labels are not equally many")
        if self.speakers is not None and len(self.speakers) != len(self.labels):
            self._refuse("its speakers and labels are not equally many")
        num_classes = num_classes or len(self.class_names)
        if len(self.class_names) != num_classes:
            self._refuse(f"it names {len(self.class_names)} classes, the task has {num_classes}")
        if len(self.labels) and not (self.labels.min() >= 0 and self.labels.max() < num_classes):
            self._refuse(f"it has labels outside 0 to {num_classes - 1}")
        if len(self._units) and not (self._units.min() >= 0 and self._units.max() < channels):
            self._refuse(f"it has channels outside 0 to {channels - 1}")
        if len(self._times) and self._times.dtype.kind != "f":
            self._refuse(f"its times are {self._times.dtype}, not seconds in floating point")
        if not np.isfinite(self._times).all():
            self._refuse("it has times that are not finite")

    def _refuse(self, why: str) -> None:
        raise PumiceError(f"{self.name} does not fit the task: {why}; choose the task it belongs to, or correct it")

    def _look_at(self, index: int, channels: int) -> Plausibility:
        where = f"recording {index} of {self.name}"
        units = self._units[self._starts[index] : self._starts[index + 1]]
        try:
            return look_at(where, self._microseconds(index), (units,), (channels,), unwrapped=self._unwrap)
        except ValueError as error:
            raise PumiceError(f"{where}: {error}; its times are seconds, correct them or their unit") from None

    def _microseconds(self, index: int) -> NDArray[np.int64]:
        stored = self._times[self._starts[index] : self._starts[index + 1]]
        return microseconds(stored, 1_000_000, truncate=stored.dtype == np.float16)

    def report(self, index: int) -> Plausibility:
        """What one recording looks like in the file."""
        return self._reports[index]

    def events(self, index: int, start: int = 0, stop: int | None = None) -> Events:
        """Return events ``start`` to ``stop`` of one recording, sorted by time."""
        t = self._microseconds(index)
        t = unwrap(t) if self._unwrap else t
        units = self._units[self._starts[index] : self._starts[index + 1]]
        return sort_by_time(make_events(t[start:stop], units[start:stop]))


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """The class names of a file in SHD's layout, in order of their label.

    Raises:
        PumiceError: it cannot be read.
    """
    try:
        with open_hdf5(path) as file:
            return tuple(_text(name) for name in file.data("extra/keys")[()])
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise PumiceError(f"{path} names no classes ({error}); it has to be in SHD's layout") from error


def _whole_numbers(dataset: h5py.Dataset) -> NDArray[np.int64]:
    values = np.asarray(dataset[()])
    whole = values.dtype.kind in "iu" or (values.dtype.kind == "f" and bool((np.abs(values) < 2**53).all()))
    if values.ndim != 1 or not whole or (values.astype(np.int64) != values).any():
        found = f"{values.dtype} of shape {values.shape}"
        raise ValueError(f"{dataset.name} holds {found}, not a whole number a recording")
    return values.astype(np.int64)


def _read_ragged(dataset: h5py.Dataset) -> tuple[NDArray, NDArray[np.int64]]:
    """Read arrays of variable length into a flat one and their lengths."""
    base = h5py.check_vlen_dtype(dataset.dtype)
    if base is None:
        raise TypeError(f"{dataset.name} does not hold arrays of variable length")
    parts, counts = [np.zeros(0, dtype=base)], []
    for start in range(0, len(dataset), ROWS_AT_ONCE):
        rows = dataset[start : start + ROWS_AT_ONCE]
        counts += [len(row) for row in rows]
        parts.append(np.concatenate(rows))
    return np.concatenate(parts), np.array(counts, dtype=np.int64)


def _text(name: bytes | str) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else str(name)
