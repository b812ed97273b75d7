"""From events to token numbers, the rows of a model's embedding."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from numpy.typing import NDArray

from ...errors import PumiceError
from .recordings import Events

Sensor = tuple[int, ...]
"""(channels,) for one-dimensional sensors, (width, height, polarities) for cameras."""


def channel_tokens(events: Events, sensor: Sensor) -> NDArray[np.int64]:
    """Token = x: one token a channel."""
    return events["x"].astype(np.int64)


def pixel_tokens(events: Events, sensor: Sensor) -> NDArray[np.int64]:
    """Token = x + width y + width height p: one token for each pixel and polarity."""
    width, height, _ = sensor
    x, y, p = (events[name].astype(np.int64) for name in ("x", "y", "p"))
    return x + width * y + width * height * p


def x_major_tokens(events: Events, sensor: Sensor) -> NDArray[np.int64]:
    """Token = height x + y + width height p, the order of version 0.2 of the event-SSM code."""
    width, height, _ = sensor
    x, y, p = (events[name].astype(np.int64) for name in ("x", "y", "p"))
    return height * x + y + width * height * p


def product_tokens(events: Events, sensor: Sensor) -> NDArray[np.int64]:
    """Token = x y + width height p, as the event-SSM weights for DVS-Gesture of version 0.1 were trained.

    Pixels with equal products share a token; for released weights only, ``pixel`` tells all pixels apart.
    """
    width, height, _ = sensor
    x, y, p = (events[name].astype(np.int64) for name in ("x", "y", "p"))
    return x * y + width * height * p


TOKENS: dict[str, tuple[Callable[[Events, Sensor], NDArray[np.int64]], int]] = {
    "channel": (channel_tokens, 1),
    "pixel": (pixel_tokens, 3),
    "product": (product_tokens, 3),
    "x-major": (x_major_tokens, 3),
}
"""The token function of each name and the dimensions of the sensor it is for."""


def vocabulary(token: str, sensor: Sensor) -> int:
    """Return the number of tokens: the product of the sensor's dimensions.

    Raises:
        PumiceError: there is no such token, or it does not fit the sensor.
    """
    if token not in TOKENS:
        raise PumiceError(f"task.token={token} is unknown; choose one of {', '.join(TOKENS)}")
    if TOKENS[token][1] != len(sensor):
        fitting = ", ".join(name for name, (_, dimensions) in TOKENS.items() if dimensions == len(sensor))
        raise PumiceError(
            f"task.token={token} does not fit the sensor {list(sensor)}; choose {fitting or 'another sensor'}"
        )
    return prod(sensor)
