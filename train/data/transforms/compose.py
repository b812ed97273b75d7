"""Augmentations by name, applied one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ....errors import PumiceError
from ..recordings import Events, sort_by_time
from ..tokens import Sensor
from .drop import DropEvent, DropEventChunk
from .noise import UniformNoise
from .spatial import Roll, Rotate, Scale, SpatialJitter
from .temporal import TimeJitter, TimeSkew

Transform = Callable[[Events, np.random.Generator], Events]

TRANSFORMS: dict[str, type] = {
    "drop_event": DropEvent,
    "drop_event_chunk": DropEventChunk,
    "spatial_jitter": SpatialJitter,
    "time_skew": TimeSkew,
    "time_jitter": TimeJitter,
    "uniform_noise": UniformNoise,
    "roll": Roll,
    "rotate": Rotate,
    "scale": Scale,
}
CAMERA_ONLY = ("rotate", "scale")


@dataclass(frozen=True)
class Augmentation:
    """Apply transforms in order, then sort by time.

    A sequence of which fewer than ``fewest`` events would be left is returned as it was.
    """

    transforms: tuple[Transform, ...] = ()
    fewest: int = 1

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        augmented = events
        for transform in self.transforms:
            augmented = transform(augmented, rng)
            if len(augmented) < self.fewest:
                return events
        return sort_by_time(augmented)


def build_augmentation(config: Mapping[str, Any] | None, sensor: Sensor, fewest: int = 1) -> Augmentation:
    """Build the transforms named in ``config``, in its order; an entry of None is left out.

    Args:
        config: name -> keyword arguments of the transform, without ``sensor``.
        sensor: dimensions of the sensor, given to the transforms that need them.
        fewest: see ``Augmentation``.

    Raises:
        PumiceError: a name or an argument is unknown, missing or out of range.
    """
    transforms = []
    for name, arguments in (config or {}).items():
        if arguments is None:
            continue
        if name not in TRANSFORMS:
            raise PumiceError(f"task.augmentation.{name} is unknown; choose from {', '.join(TRANSFORMS)}")
        if name in CAMERA_ONLY and len(sensor) != 3:
            raise PumiceError(f"task.augmentation.{name} is for cameras, the sensor here is {list(sensor)}; remove it")
        needs_sensor = any(field.name == "sensor" for field in fields(TRANSFORMS[name]))
        try:
            transforms.append(TRANSFORMS[name](**arguments, **({"sensor": sensor} if needs_sensor else {})))
        except TypeError:
            known = ", ".join(field.name for field in fields(TRANSFORMS[name]) if field.name != "sensor")
            raise PumiceError(f"task.augmentation.{name} takes {known}, not {dict(arguments)}") from None
    return Augmentation(tuple(transforms), fewest)
