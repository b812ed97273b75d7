"""The files that a run leaves, and what they say by sample."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .head import RESET, VALID
from .parts import Part


@dataclass(frozen=True)
class PortRecord:
    """What one process sent, one entry a sample; the last record of a run holds the logits.

    ``values``, (rows, channels) int64: a row for each event it sent; of the read-out a row for the value before any
    event and after each. ``states``, (events, codes) int64: a row for each event it took.
    """

    name: str
    values: list[np.ndarray]
    states: list[np.ndarray]


def write(folder: Path, parts: Sequence[Part], rows: np.ndarray) -> None:
    """Write ``<part>.flag.npy``, ``.value.npy`` and, of parts with states, ``.state.npy``; (steps, columns) int64.

    Shapes: ``rows`` (steps, columns of all parts): of each part its ``RunningPart.row``.
    """
    start = 0
    for part in parts:
        ends = np.cumsum([start, 1, part.channels_out, part.state_size]).tolist()
        for what, (first, last) in zip(("flag", "value", "state"), itertools.pairwise(ends), strict=True):
            if last > first:
                np.save(folder / f"{part.file_name}.{what}.npy", rows[:, first:last], allow_pickle=False)
        start = ends[-1]


def read(folder: Path, parts: Sequence[Part], flags: np.ndarray) -> list[PortRecord]:
    """What ``write`` wrote, by part and sample. Rows are counted from each process's own reset, so that processes may
    run any number of steps behind one another.

    Shapes: ``flags`` (rows,), as the source sends them.
    """
    taken, records = _events(flags), []
    for part in parts:
        flags = _array(folder, part, "flag")[:, 0]
        starts, sent = np.flatnonzero(flags & RESET), _events(flags)
        values = _array(folder, part, "value")
        states = _array(folder, part, "state") if part.state_size else np.zeros((len(flags), 0), dtype=np.int64)
        led = [np.append(0, events) for events in sent] if part.reads_out else sent
        records.append(
            PortRecord(
                name=part.name,
                values=[values[start + rows] for start, rows in zip(starts, led, strict=True)],
                states=[states[start + rows] for start, rows in zip(starts, taken, strict=True)],
            )
        )
        taken = sent
    return records


def _events(flags: np.ndarray) -> list[np.ndarray]:
    """Of each sample the valid steps, counted from its reset."""
    starts = np.flatnonzero(flags & RESET)
    return [np.flatnonzero(piece & VALID) for piece in np.split(flags, starts)[1:]]


def _array(folder: Path, part: Part, what: str) -> np.ndarray:
    return np.load(folder / f"{part.file_name}.{what}.npy", allow_pickle=False)
