"""Adding events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..recordings import Events, sort_by_time
from ..tokens import Sensor
from .check import require


def add_noise(events: Events, count: int, sensor: Sensor, rng: np.random.Generator) -> Events:
    """Add ``count`` events, uniform over the sensor and over the time from the first to the last event."""
    if count == 0 or len(events) == 0:
        return events
    noise = np.empty(count, dtype=events.dtype)
    noise["t"] = rng.integers(events["t"].min(), events["t"].max(), count, endpoint=True)
    for axis, size in zip(("x", "y", "p"), sensor, strict=False):
        noise[axis] = rng.integers(size, size=count)
    return sort_by_time(np.concatenate([events, noise]))


@dataclass(frozen=True)
class UniformNoise:
    """Add n noise events, n drawn uniformly from 0 to ``most`` (exclusive)."""

    most: int
    sensor: Sensor

    def __post_init__(self) -> None:
        require(self.most >= 0, "uniform_noise.most", self.most, "0 or more")

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        return add_noise(events, int(rng.uniform(0, self.most)), self.sensor, rng)
