"""Spiking S5 in the table of model families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...models.initial import Shape
from ...models.s5.shapes import s5_shapes
from ...models.spikings5.build import build_spikings5
from ...models.spikings5.config import SpikingS5Config
from ...models.spikings5.network import SpikingS5
from ...models.spikings5.shapes import spiking_output
from ..family import FloatFamily


class SpikingS5Family(FloatFamily[SpikingS5]):
    """Spiking state-space classifiers of events."""

    name = "spikings5"
    reads = "events"
    inputs = ("vocab", "in_features")
    recipe = "spikings5-spoken-digits"
    model = SpikingS5

    def shapes(self, settings: Mapping[str, Any], *, num_classes: int, **inputs: int) -> Iterator[Shape]:
        """See `FloatFamily.shapes`."""
        return s5_shapes(SpikingS5Config.from_mapping(settings, num_classes=num_classes, **inputs), spiking_output)

    def build(self, settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **inputs: int) -> SpikingS5:
        """See `FloatFamily.build`."""
        return build_spikings5(settings, num_classes=num_classes, seed=seed, **inputs)
