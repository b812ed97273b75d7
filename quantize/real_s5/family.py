"""S5 with real decays in the table of model families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.initial import Shape
from ...models.real_s5.build import build_real_s5
from ...models.real_s5.classifier import RealS5Classifier
from ...models.real_s5.config import RealS5Config
from ...models.real_s5.shapes import real_s5_shapes
from ...program import Program
from ...program.nodes import Node
from ...train.data.inputs import Inputs
from ..family import Family
from ..lowering import DeadZone, Report, dead_zones
from ..s5.float_values import float_values
from ..s5.report import STATES, report
from .model import FrozenRealS5Classifier, QuantRealS5Classifier, why_not


class RealS5Family(Family[RealS5Classifier, QuantRealS5Classifier, FrozenRealS5Classifier]):
    """Event-driven S5 classifiers with real decays."""

    name = "real-s5"
    reads = "events"
    inputs = ("vocab", "in_features")
    recipe = "spoken-digits"
    model = RealS5Classifier
    qat = QuantRealS5Classifier
    frozen = FrozenRealS5Classifier

    def shapes(self, settings: Mapping[str, Any], *, num_classes: int, **inputs: int) -> Iterator[Shape]:
        """See `FloatFamily.shapes`."""
        return real_s5_shapes(RealS5Config.from_mapping(settings, num_classes=num_classes, **inputs))

    def build(
        self, settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **inputs: int
    ) -> RealS5Classifier:
        """See `FloatFamily.build`."""
        return build_real_s5(settings, num_classes=num_classes, seed=seed, **inputs)

    def unavailable(self, config: Mapping[str, Any]) -> str | None:
        """See `Family.unavailable`."""
        model = config["model"]
        return why_not(model.get("head", "pool"), model.get("recurrence", "exact"))

    def dead_zones(self, qat: QuantRealS5Classifier, nodes: Sequence[Node]) -> Iterator[DeadZone]:
        """See `Family.dead_zones`."""
        return dead_zones(nodes, STATES)

    def report(self, qat: QuantRealS5Classifier, program: Program) -> Report:
        """See `Family.report`."""
        return report(qat, program)

    def float_values(
        self, model: RealS5Classifier, program: Program, inputs: Inputs
    ) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`."""
        return float_values(QuantRealS5Classifier, model, program, inputs)
