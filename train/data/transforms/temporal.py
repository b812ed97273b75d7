"""Moving events in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..recordings import Events, sort_by_time
from .check import require


def retime(events: Events, t: NDArray) -> Events:
    """Give the events new times (n,), microseconds, rounded to whole ones, and sort by them."""
    moved = events.copy()
    moved["t"] = np.rint(t)
    return sort_by_time(moved)


@dataclass(frozen=True)
class TimeSkew:
    """Stretch time by a coefficient drawn from U(1 / factor, factor)."""

    factor: float

    def __post_init__(self) -> None:
        require(self.factor >= 1, "time_skew.factor", self.factor, "1 or more")

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        return retime(events, events["t"] * rng.uniform(1 / self.factor, self.factor))


@dataclass(frozen=True)
class TimeJitter:
    """Shift the time of each event by N(0, std_us) microseconds."""

    std_us: float

    def __post_init__(self) -> None:
        require(self.std_us >= 0, "time_jitter.std_us", self.std_us, "0 or more")

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        return retime(events, events["t"] + rng.normal(0, self.std_us, len(events)))
