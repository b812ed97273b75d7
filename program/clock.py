"""From time stamps to integer gaps."""

from __future__ import annotations

import numpy as np

from .arrays import integers
from .errors import ProgramError

LONGEST_US = 1 << 61
"""Microseconds from the first to the last event: ticks are taken of twice as many, in 64 bits."""


def check_order(times_us: np.ndarray, last_us: int | None = None) -> None:
    """Times (L,) must not decrease, nor begin before ``last_us``; compared, as differences may not fit 64 bits.

    Raises:
        ProgramError: they do; names the first event that lies before its predecessor.
    """
    if last_us is not None and len(times_us) and int(times_us[0]) < last_us:
        raise ProgramError(f"event 0 at {times_us[0]} us lies before the event at {last_us} us; sort the events first")
    backwards = times_us[1:] < times_us[:-1]
    if backwards.any():
        event = int(np.argmax(backwards)) + 1
        apart = int(times_us[event - 1]) - int(times_us[event])
        raise ProgramError(f"event {event} lies {apart} us before event {event - 1}; sort the events by time first")


def ticks(times_us: np.ndarray, tick_us: int) -> np.ndarray:
    """Round absolute times to ticks, half up: ``floor((2 t + T) / (2 T))``.

    Shapes: ``times_us`` (L,) integer microseconds -> (L,) int64 ticks.
    """
    times_us = integers("times", times_us)
    return np.floor_divide(2 * times_us + tick_us, 2 * tick_us)


def gaps(times_us: np.ndarray, tick_us: int, pairing: str = "causal") -> np.ndarray:
    """Gaps in ticks between events, from the rounded absolute times relative to the first event.

    Shapes: ``times_us`` (L,), not decreasing -> (L,) int64, never negative. With ``pairing="causal"`` gap k lies
    before event k (gap 0 is 0). With ``"next"`` it is the gap after event k, applied before event k as the
    reference implementation of event-SSM does; the last event then has no gap and is dropped: (L - 1,).

    Raises:
        ProgramError: times that go backwards, lie too far apart or are no integers, or an unknown pairing.
    """
    times_us = integers("times", times_us)
    check_order(times_us)
    if times_us.size == 0:
        return np.zeros(0, dtype=np.int64)
    if int(times_us[-1]) - int(times_us[0]) > LONGEST_US:
        raise ProgramError(f"the events lie more than {LONGEST_US} us apart; cut the recording")
    between = np.diff(ticks(times_us - times_us[0], tick_us))
    if pairing == "causal":
        return np.concatenate([np.zeros(1, dtype=np.int64), between])
    if pairing == "next":
        return between
    raise ProgramError(f"pairing {pairing!r} is unknown; use 'causal' or 'next'")
