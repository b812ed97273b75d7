"""Recordings that lie in a file each: looked at once when they are opened, read again when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ..plausibility import Plausibility, look_at, polarity_on, unwrap
from ..recordings import Events, make_events, sort_by_time
from ..times import UNITS, microseconds
from ..tokens import Sensor
from .columns import Columns
from .looking import look_at_all
from .settings import FileSettings

KEPT = 8
"""Recordings that are kept in memory: slices of one are asked for one after the other."""


class FileRecordings:
    """Recordings of one split, a file each; see ``recordings.Recordings``. Files are read whole.

    Args:
        name: where they lie, for messages.
        files: (N,) paths.
        labels: (N,) int64.
        class_names: in order of their label.
        speakers: (N,) int64, or None where unknown.
        read: from a path to its columns.
        sensor: (channels,) or (width, height, polarities).
        settings: unit and polarities.
        unwrap_times: count on where a clock of 32 bits began anew.

    Raises:
        PumiceError: a file cannot be read, or cannot be a recording; names it and the limit.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[Path],
        labels: NDArray[np.int64],
        class_names: tuple[str, ...],
        speakers: NDArray[np.int64] | None,
        read: Callable[[Path], Columns],
        sensor: Sensor,
        settings: FileSettings,
        unwrap_times: bool = False,
    ) -> None:
        self.name, self.class_names, self.labels, self.speakers = name, class_names, labels, speakers
        self._files, self._read, self._sensor = list(files), read, sensor
        self._settings, self._unwrap = settings, unwrap_times
        about = repr((self._sensor, settings, unwrap_times, type(read).__name__))
        self._reports = look_at_all(self._files, about, self._look_at)
        self.lengths: NDArray[np.int64] = np.array([report.events for report in self._reports], dtype=np.int64)
        seen = [code for report in self._reports for code in report.polarities]
        self._on = self._code_of_on(name, np.array(seen, dtype=np.int64))
        self._cached = lru_cache(KEPT)(self._events)

    def report(self, index: int) -> Plausibility:
        """What one recording looks like in its file."""
        return self._reports[index]

    def events(self, index: int, start: int = 0, stop: int | None = None) -> Events:
        """Return events ``start`` to ``stop`` of one recording, sorted by time."""
        return self._cached(index)[start:stop].copy()

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_cached"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._cached = lru_cache(KEPT)(self._events)

    @property
    def _has_polarities(self) -> bool:
        return len(self._sensor) == 3 and self._settings.polarity != "ignore"

    def _columns(self, file: Path) -> tuple[Columns, NDArray[np.int64]]:
        """The columns that the sensor has, and times in microseconds."""
        columns = self._read(file)
        needed = {"y": columns.y} if len(self._sensor) == 3 else {}
        needed |= {"p": columns.p} if self._has_polarities else {}
        for axis, values in needed.items():
            if values is None:
                raise PumiceError(
                    f"{file} has no {axis}, but task.sensor={list(self._sensor)} is a camera; give the sensor as "
                    "[channels]" + (", or set task.files.polarity=ignore" if axis == "p" else "")
                )
        unit = self._settings.unit_us or columns.unit_us or 1
        try:
            return columns, microseconds(columns.t, unit)
        except ValueError as error:
            raise PumiceError(
                f"{file}: {error}; its times are taken for {UNITS[unit]}, correct them or set task.files.unit"
            ) from None

    def _look_at(self, file: Path) -> Plausibility:
        columns, t = self._columns(file)
        coordinates = (columns.x,) if columns.y is None or len(self._sensor) == 1 else (columns.x, columns.y)
        codes = columns.p if self._has_polarities else None
        if codes is not None:
            self._code_of_on(str(file), codes)
        return look_at(str(file), t, coordinates, self._sensor, codes, self._unwrap)

    def _code_of_on(self, where: str, codes: NDArray) -> int:
        coding = self._settings.polarity
        if not isinstance(coding, tuple):
            return polarity_on(where, codes)
        odd = set(np.unique(codes).tolist()) - set(coding)
        if odd:
            raise PumiceError(
                f"{where} has the polarity {min(odd):g}, task.files.polarity={list(coding)}; correct either"
            )
        return coding[1]

    def _events(self, index: int) -> Events:
        columns, t = self._columns(self._files[index])
        if len(t) != self.lengths[index]:
            raise PumiceError(f"{self._files[index]} was changed while it was in use; start anew")
        t = unwrap(t) if self._unwrap else t
        if len(self._sensor) == 1:
            return sort_by_time(make_events(t, columns.x))
        on = np.zeros(len(t), bool) if not self._has_polarities else np.asarray(columns.p) == self._on
        return sort_by_time(make_events(t, columns.x, columns.y, on))
