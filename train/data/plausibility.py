"""What a recording looks like as it lies in its file, and what no recording looks like."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import PumiceError
from ...files import atomic_path

LONGEST_US = 24 * 3600 * 1_000_000
"""The longest recording: a day. Units that were mistaken make days of seconds."""
WRAP_US = 1 << 32
"""Cameras count microseconds in 32 bits: after 71.6 minutes their clock begins anew."""


@dataclass(frozen=True, slots=True)
class Plausibility:
    """What one recording looks like, before its events are sorted.

    Attributes:
        events: how many.
        duration_us: from the earliest to the latest event.
        largest_gap_us: between events that follow each other in time.
        backwards: events that lie before their predecessor in the file.
        wraps: of them, by more than half of 32 bits: a clock that began anew.
        lowest, highest: of each coordinate, in the order of the sensor's.
        polarities: as they stand in the file; empty for sensors without.
    """

    events: int
    duration_us: int
    largest_gap_us: int
    backwards: int
    wraps: int
    lowest: tuple[int, ...]
    highest: tuple[int, ...]
    polarities: tuple[int, ...] = ()


def overview(reports: Sequence[Plausibility]) -> dict[str, str]:
    """What a split's recordings look like, by what is looked at; names the recording that stands out."""
    lines = {
        "shortest": _extreme(reports, "events", min, lambda value: f"{value:,} events"),
        "longest": _extreme(reports, "duration_us", max, lambda value: f"{value / 1e6:,.3f} s"),
        "largest gap": _extreme(reports, "largest_gap_us", max, lambda value: f"{value / 1e6:,.3f} s"),
        "events out of order": _where(reports, "backwards"),
        "clocks that began anew": _where(reports, "wraps"),
    }
    filled = [report for report in reports if report.events]
    for axis, name in enumerate("xy"[: max((len(report.lowest) for report in reports), default=0)]):
        low = min((report.lowest[axis] for report in filled), default=0)
        lines[f"{name} seen"] = f"{low} to {max((report.highest[axis] for report in filled), default=0)}"
    if codes := sorted({code for report in reports for code in report.polarities}):
        lines["polarities seen"] = ", ".join(map(str, codes))
    return lines


def _extreme(reports: Sequence[Plausibility], what: str, choose: Callable, shown: Callable[[int], str]) -> str:
    values = [getattr(report, what) for report in reports]
    return f"{shown(choose(values))} (recording {values.index(choose(values))})" if values else ""


def _where(reports: Sequence[Plausibility], what: str) -> str:
    found = [index for index, report in enumerate(reports) if getattr(report, what)]
    total = sum(getattr(report, what) for report in reports)
    return f"{total:,} in {len(found):,} recordings (first {found[0]})" if found else "none"


def write_csv(reports: Sequence[Plausibility], target: Path) -> None:
    """One row a recording, in their order."""
    names = [entry.name for entry in fields(Plausibility)]
    with atomic_path(target) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", *names])
        for index, report in enumerate(reports):
            values = (getattr(report, name) for name in names)
            writer.writerow([index, *(" ".join(map(str, v)) if isinstance(v, tuple) else v for v in values)])


def unwrap(t: NDArray[np.int64]) -> NDArray[np.int64]:
    """Times (n,) of a clock of 32 bits that began anew, counted on."""
    return t + WRAP_US * np.concatenate([np.zeros(min(len(t), 1), np.int64), np.cumsum(_wraps(t))])


def _wraps(t: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.diff(t) < -(WRAP_US // 2)


def look_at(
    where: str,
    t: NDArray[np.int64],
    coordinates: tuple[NDArray, ...],
    sensor: tuple[int, ...],
    polarities: NDArray | None = None,
    unwrapped: bool = False,
) -> Plausibility:
    """Measure a recording of n events.

    Args:
        where: the file and the recording, for messages.
        t: (n,) microseconds in the order of the file.
        coordinates: (n,) each.
        sensor: how many of each coordinate there are.
        polarities: (n,) as they stand in the file.
        unwrapped: whether a clock that began anew is counted on (``unwrap``).

    Raises:
        PumiceError: coordinates outside the sensor, a clock that began anew, or a recording longer than a day.
    """
    if not len(t):
        nothing = (0,) * len(coordinates)
        return Plausibility(0, 0, 0, 0, 0, nothing, nothing)
    for axis, size in zip(coordinates, sensor, strict=False):
        if not (axis.min() >= 0 and axis.max() < size and (axis.dtype.kind in "iu" or (axis == np.rint(axis)).all())):
            _refuse_coordinates(where, coordinates, sensor)
    wraps = _wraps(t)
    if wraps.any() and not unwrapped:
        event = int(np.argmax(wraps)) + 1
        raise PumiceError(
            f"{where}: event {event} lies {int(t[event - 1] - t[event]):,} us before its predecessor, as where a clock "
            "of 32 bits begins anew; set task.unwrap_times=true to count on, or sort the file by time"
        )
    backwards = int((np.diff(t) < 0).sum())
    t = unwrap(t) if unwrapped else t
    ordered = np.sort(t) if backwards else t
    gaps = np.diff(ordered)
    duration = int(ordered[-1]) - int(ordered[0])
    if duration > LONGEST_US:
        late = int(np.argmax(gaps)) + 1
        raise PumiceError(
            f"{where} lasts {duration / 1e6:,.0f} s, more than a day, with {int(gaps[late - 1]) / 1e6:,.0f} s before "
            f"the event at {int(ordered[late]) / 1e6:,.3f} s; correct the unit of its times or the event, or cut it"
        )
    return Plausibility(
        events=len(t),
        duration_us=duration,
        largest_gap_us=int(gaps.max(initial=0)),
        backwards=backwards,
        wraps=int(wraps.sum()),
        lowest=tuple(int(axis.min()) for axis in coordinates),
        highest=tuple(int(axis.max()) for axis in coordinates),
        polarities=() if polarities is None else tuple(np.unique(polarities).astype(int).tolist()),
    )


def _refuse_coordinates(where: str, coordinates: tuple[NDArray, ...], sensor: tuple[int, ...]) -> None:
    inside = np.ones(len(coordinates[0]), dtype=bool)
    for axis, size in zip(coordinates, sensor, strict=False):
        inside &= (axis >= 0) & (axis < size) & (axis == np.rint(axis))
    event = int(np.argmin(inside))
    at = ", ".join(f"{axis[event]:g}" for axis in coordinates)
    kind = "pixels" if len(coordinates) > 1 else "channels"
    raise PumiceError(
        f"{where}: {int((~inside).sum()):,} of {len(inside):,} events lie outside "
        f"{'x'.join(map(str, sensor[: len(coordinates)]))} {kind}, the first is event {event} at ({at}); choose the "
        "task it belongs to, give the sensor by task.sensor, or correct them"
    )


def polarity_on(where: str, seen: NDArray) -> int:
    """The code that means a rising brightness, from all codes that a set of recordings uses.

    Codings are 0 and 1 (booleans too), -1 and +1, and 1 and 2; a lone 1 is taken for rising.

    Raises:
        PumiceError: any other codes; names them.
    """
    codes = set(np.unique(seen).tolist())
    for coding in ((0, 1), (-1, 1), (1, 2)):
        if codes <= set(coding):
            return coding[1]
    listed = ", ".join(f"{code:g}" for code in sorted(codes)[:5])
    raise PumiceError(
        f"{where} has the polarities {listed}{', ...' if len(codes) > 5 else ''}; known are 0 and 1, -1 and 1, "
        "1 and 2: recode them"
    )
