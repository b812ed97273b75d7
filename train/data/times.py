"""From event times to the intervals a model decays by, in ticks or exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import PumiceError
from ...program import clock

LATEST_US = 1 << 53
"""Times that float64 holds exactly, 285 years: microseconds since 1970 are among them, nanoseconds are not."""


UNITS = {1: "us", 1000: "ms", 1_000_000: "s"}


def microseconds(stored: NDArray, unit_us: int, *, truncate: bool = False) -> NDArray[np.int64]:
    """Times as a file stores them (n,), in units of ``unit_us``, as whole microseconds.

    They are rounded: seconds in float64 are mostly not exact, and truncation would lose a microsecond of three in ten.
    ``truncate`` is for data whose published readers do.

    Raises:
        ValueError: times that are not finite or too late; says which event.
    """
    reachable = np.abs(stored.astype(np.float64)) <= LATEST_US / unit_us  # False for NaN
    if not reachable.all():
        event = int(np.argmin(reachable))
        raise ValueError(f"event {event} is at {stored[event]} {UNITS[unit_us]}, which is no time of a recording")
    if stored.dtype.kind in "iu":
        return stored.astype(np.int64) * unit_us
    scaled = stored.astype(np.float64) * unit_us
    return (np.trunc(scaled) if truncate else np.rint(scaled)).astype(np.int64)


def tick_microseconds(tick_ms: float) -> int:
    """Return the length of a tick in microseconds.

    Raises:
        PumiceError: the tick is not a positive whole number of microseconds.
    """
    tick_us = round(tick_ms * 1000)
    if tick_us < 1 or abs(tick_ms * 1000 - tick_us) > 1e-6:
        raise PumiceError(
            f"tick_ms={tick_ms} is not a positive whole number of microseconds, which event times are counted in; "
            "choose for example tick_ms=0.5, or tick_ms=null for exact times"
        )
    return tick_us


def ticks(t: NDArray[np.int64], tick_us: int) -> NDArray[np.int64]:
    """Round absolute times (n,) in microseconds, counted from the first event, to ticks: floor(t / tick + 1/2)."""
    return clock.ticks(t - t[:1], tick_us)


def intervals(
    t: NDArray[np.int64], tick_ms: float | None = 0.5, pairing: str = "causal"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pair every event with an interval in milliseconds.

    Args:
        t: event times (n,), microseconds, ascending.
        tick_ms: length of a tick; intervals are differences of the *rounded absolute* times, so that their sum never
            drifts from the clock. None: exact times.
        pairing: ``causal`` gives event k the interval that ended with it, 0 for the first, n in all. ``next`` gives
            event k the interval to event k + 1 and drops the last event, n - 1 in all (Schoene et al. 2024, their
            released code): a stream has to wait for the next time stamp before it can process an event.

    Returns:
        dt, by which the state decays before the event, and pool_dt, the exact interval at 1 us resolution; float32.
    """
    exact = np.diff(t).astype(np.float64) / 1000
    rounded = exact if tick_ms is None else np.diff(ticks(t, tick_microseconds(tick_ms))) * np.float64(tick_ms)
    pair = [rounded, exact]
    if pairing == "causal":
        first = np.zeros(min(len(t), 1))
        pair = [np.concatenate([first, values]) for values in pair]
    return pair[0].astype(np.float32), pair[1].astype(np.float32)
