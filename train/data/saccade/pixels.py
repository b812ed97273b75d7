"""What an event camera sees of a small picture that moves before it, in whole numbers alone: the same on every machine.

A pixel of such a camera (Lichtsteiner et al. 2008) keeps the logarithm of the brightness at its last event, and sends
an event of polarity 1 (0) whenever it has risen (fallen) by a threshold. The picture moves as that of N-MNIST does
(Orchard et al. 2015): three saccades of equal duration, along the sides of a triangle.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..recordings import PIXEL_EVENT, Events

WIDTH = HEIGHT = 34
CELLS, PIXELS_A_CELL = 8, 3
STEP_US, STEPS = 4_000, 75
FINE = 64
"""Parts of a pixel that positions are counted in."""
CORNERS = ((-3, -3), (0, 3), (3, -3), (-3, -3))
"""In pixels (x, y) from the middle: where saccades begin and end."""
BRIGHTEST = 16
DARK = 0.1
"""Brightness of the background, as a share of the brightest: a camera sees no black."""
LOG_UNIT = 1 << 12
THRESHOLD = round(1.0 * LOG_UNIT)
"""Of the change of the natural logarithm, in parts of ``LOG_UNIT``."""
_WEIGHT = PIXELS_A_CELL * FINE
_SHIFT = 6
_FULL = BRIGHTEST * _WEIGHT**2 >> _SHIFT


def path() -> NDArray[np.int64]:
    """Where the picture is at the end of each step, (STEPS + 1, 2), x and y in ``FINE`` parts of a pixel."""
    sides, along = len(CORNERS) - 1, STEPS // (len(CORNERS) - 1)
    step = np.arange(STEPS + 1)
    side = np.minimum(step // along, sides - 1)
    corners = np.array(CORNERS, dtype=np.int64) * FINE
    return corners[side] + (corners[side + 1] - corners[side]) * (step - side * along)[:, None] // along


def interpolation(offset: int, size: int) -> NDArray[np.float64]:
    """Weights (size, CELLS) of the picture's cells in each pixel along one axis, whole numbers; zero outside.

    Args:
        offset: of the picture's middle from that of the sensor, in ``FINE`` parts of a pixel.
        size: pixels of the sensor.
    """
    doubled = 2 * FINE * np.arange(size) + FINE - size * FINE - 2 * offset + CELLS * _WEIGHT  # twice, from the corner
    position = (doubled - _WEIGHT) // 2  # from the middle of the first cell
    distance = np.abs(position[:, None] - _WEIGHT * np.arange(CELLS))
    return np.maximum(_WEIGHT - distance, 0).astype(np.float64)


def logarithms() -> NDArray[np.int32]:
    """Of each brightness, in parts of ``LOG_UNIT``, rounded."""
    brightness = np.arange(_FULL + 1) / _FULL
    return np.rint(LOG_UNIT * np.log(DARK + (1 - DARK) * brightness)).astype(np.int32)


def see(pictures: NDArray) -> list[Events]:
    """Events of N pictures (N, 8, 8), 0 to 16, under saccades; sorted by time, then row, column.

    A pixel whose brightness changes by several thresholds in a step sends as many events, at equal distances in it.
    """
    table, places = logarithms(), path()
    parts: list[tuple[NDArray, ...]] = []
    kept = seen = np.zeros(0, np.int32)
    for step in range(STEPS + 1):
        rows, columns = (interpolation(int(place), WIDTH) for place in places[step][::-1])
        brightness = np.einsum("yi,nij,xj->nyx", rows, pictures.astype(np.float64), columns, optimize=True)
        now = table[brightness.astype(np.int32) >> _SHIFT]
        if step == 0:
            kept, seen = now.copy(), now
            continue
        where = np.nonzero(np.abs(now - kept) >= THRESHOLD)
        change = now[where] - kept[where]
        crossed = np.sign(change) * (np.abs(change) // THRESHOLD)
        parts.append(_events_of(step, where, crossed, kept[where], seen[where], now[where]))
        kept[where] += THRESHOLD * crossed
        seen = now
    sample, t, y, x, p = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((x, y, t, sample))
    events = np.empty(len(t), PIXEL_EVENT)
    for name, values in (("t", t), ("x", x), ("y", y), ("p", p)):
        events[name] = values[order]
    bounds = np.searchsorted(sample[order], np.arange(len(pictures) + 1))
    return [events[start:stop] for start, stop in pairwise(bounds.tolist())]


def _events_of(
    step: int, where: tuple[NDArray, ...], crossed: NDArray, kept: NDArray, seen: NDArray, now: NDArray
) -> tuple[NDArray, ...]:
    """Sample, time, row, column and polarity of the events of a step, in which brightness changes evenly.

    Args:
        step: its number.
        where: sample, row and column of the k pixels that send events.
        crossed: (k,) thresholds that each passed, negative downwards.
        kept: (k,) logarithm at its last event.
        seen: (k,) at the beginning of the step.
        now: (k,) at its end.
    """
    times = np.abs(crossed)
    which = np.repeat(np.arange(len(times)), times)
    number = 1 + np.arange(len(which)) - np.repeat(np.cumsum(times) - times, times)
    before, after, sign = (values[which].astype(np.int64) for values in (seen, now, np.sign(crossed)))
    level = kept[which] + sign * number * THRESHOLD
    t = (step - 1) * STEP_US + STEP_US * (level - before) // (after - before)
    sample, y, x = (index[which] for index in where)
    return sample, t, y, x, (sign > 0).astype(np.int64)
