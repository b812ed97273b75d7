"""S5 with real decays in the table of model families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...models.initial import Shape
from ...models.real_s5.build import build_real_s5
from ...models.real_s5.classifier import RealS5Classifier
from ...models.real_s5.config import RealS5Config
from ...models.real_s5.shapes import real_s5_shapes
from ..family import FloatFamily


class RealS5Family(FloatFamily[RealS5Classifier]):
    """Event-driven S5 classifiers with real decays."""

    name = "real-s5"
    reads = "events"
    inputs = ("vocab", "in_features")
    recipe = "spoken-digits"
    model = RealS5Classifier

    def shapes(self, settings: Mapping[str, Any], *, num_classes: int, **inputs: int) -> Iterator[Shape]:
        """See `FloatFamily.shapes`."""
        return real_s5_shapes(RealS5Config.from_mapping(settings, num_classes=num_classes, **inputs))

    def build(
        self, settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **inputs: int
    ) -> RealS5Classifier:
        """See `FloatFamily.build`."""
        return build_real_s5(settings, num_classes=num_classes, seed=seed, **inputs)
