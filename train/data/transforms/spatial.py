"""Moving events over the sensor; what leaves the sensor is dropped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..recordings import Events
from ..tokens import Sensor
from .check import require

AXES = ("x", "y")
ROUNDINGS = {"truncate": np.trunc, "nearest": np.rint}


def move_events(events: Events, positions: dict[str, NDArray], sensor: Sensor) -> Events:
    """Give the events new integer ``positions`` by axis and drop those outside the sensor."""
    inside = np.ones(len(events), dtype=bool)
    for size, values in zip(sensor, positions.values(), strict=False):
        inside &= (values >= 0) & (values < size)
    moved = events[inside]
    for axis, values in positions.items():
        moved[axis] = values[inside]
    return moved


def map_plane(events: Events, matrix: NDArray[np.float64], sensor: Sensor) -> Events:
    """Map the pixels of events by ``matrix`` (2, 2) about the sensor's centre, to the nearest pixel."""
    centre = (np.array(sensor[:2], dtype=np.float64)[:, None] - 1) / 2
    x, y = np.rint(matrix @ (np.stack([events["x"], events["y"]]) - centre) + centre)
    return move_events(events, {"x": x, "y": y}, sensor)


@dataclass(frozen=True)
class SpatialJitter:
    """Shift each event by N(0, std) channels, or pixels in either direction.

    The shift is made whole by ``rounding``: ``truncate`` towards zero, which moves only events whose shift exceeds one
    (7 % at std 0.55), as the published event-SSM recipes for audio do; or to the ``nearest`` integer (36 %).
    """

    std: float
    sensor: Sensor
    rounding: str = "nearest"

    def __post_init__(self) -> None:
        require(self.std >= 0, "spatial_jitter.std", self.std, "0 or more")
        require(self.rounding in ROUNDINGS, "spatial_jitter.rounding", self.rounding, " or ".join(ROUNDINGS))

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        to_whole = ROUNDINGS[self.rounding]
        axes = AXES[: 1 if len(self.sensor) == 1 else 2]
        shifted = {axis: events[axis] + to_whole(rng.normal(0, self.std, len(events))) for axis in axes}
        return move_events(events, shifted, self.sensor)


@dataclass(frozen=True)
class Roll:
    """With probability ``p`` shift all events by one offset of up to ``most`` channels or pixels each way, no wrapping.

    On the channels of a cochlea it stands for a vocal tract of another length.
    """

    p: float
    most: int
    sensor: Sensor

    def __post_init__(self) -> None:
        require(0 <= self.p <= 1, "roll.p", self.p, "from 0 to 1")
        require(0 <= self.most < min(self.sensor[:2]), "roll.most", self.most, "below the sensor's size")

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        if rng.random() >= self.p:
            return events
        axes = AXES[: 1 if len(self.sensor) == 1 else 2]
        shifted = {axis: events[axis] + rng.integers(-self.most, self.most + 1) for axis in axes}
        return move_events(events, shifted, self.sensor)


@dataclass(frozen=True)
class Rotate:
    """With probability ``p`` rotate all events about the centre by U(-degrees, degrees)."""

    p: float
    degrees: float
    sensor: Sensor

    def __post_init__(self) -> None:
        require(0 <= self.p <= 1, "rotate.p", self.p, "from 0 to 1")
        require(0 <= self.degrees <= 180, "rotate.degrees", self.degrees, "from 0 to 180")

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        if rng.random() >= self.p:
            return events
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees))
        cos, sin = np.cos(angle), np.sin(angle)
        return map_plane(events, np.array([[cos, -sin], [sin, cos]]), self.sensor)


@dataclass(frozen=True)
class Scale:
    """With probability ``p`` scale all events about the centre by U(1 / factor, factor)."""

    p: float
    factor: float
    sensor: Sensor

    def __post_init__(self) -> None:
        require(0 <= self.p <= 1, "scale.p", self.p, "from 0 to 1")
        require(self.factor >= 1, "scale.factor", self.factor, "1 or more")

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        if rng.random() >= self.p:
            return events
        return map_plane(events, rng.uniform(1 / self.factor, self.factor) * np.eye(2), self.sensor)
