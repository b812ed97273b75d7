"""From time stamps to integer gaps."""

from __future__ import annotations

import numpy as np

from .errors import ProgramError


def ticks(times_us: np.ndarray, tick_us: int) -> np.ndarray:
    """Round absolute times to ticks, half up: ``floor((2 t + T) / (2 T))``.

    Shapes: ``times_us`` (L,) integer microseconds -> (L,) int64 ticks.
    """
    times_us = np.asarray(times_us, dtype=np.int64)
    return np.floor_divide(2 * times_us + tick_us, 2 * tick_us)


def gaps(times_us: np.ndarray, tick_us: int, pairing: str = "causal") -> np.ndarray:
    """Gaps in ticks between events, from the rounded absolute times relative to the first event.

    Shapes: ``times_us`` (L,), not decreasing -> (L,) int64, never negative. With ``pairing="causal"`` gap k lies
    before event k (gap 0 is 0). With ``"next"`` it is the gap after event k, applied before event k as the
    reference implementation of event-SSM does; the last event then has no gap and is dropped: (L - 1,).

    Raises:
        ProgramError: times that go backwards, or an unknown pairing.
    """
    times_us = np.asarray(times_us, dtype=np.int64)
    steps = np.diff(times_us)
    if np.any(steps < 0):
        where = int(np.argmax(steps < 0)) + 1
        raise ProgramError(
            f"event {where} lies {-int(steps[where - 1])} us before event {where - 1}; sort the events by time first"
        )
    if times_us.size == 0:
        return np.zeros(0, dtype=np.int64)
    between = np.diff(ticks(times_us - times_us[0], tick_us))
    if pairing == "causal":
        return np.concatenate([np.zeros(1, dtype=np.int64), between])
    if pairing == "next":
        return between
    raise ProgramError(f"pairing {pairing!r} is unknown; use 'causal' or 'next'")
