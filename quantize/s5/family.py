"""S5 in the table of model families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.initial import Shape
from ...models.s5.build import build_s5
from ...models.s5.classifier import S5Classifier
from ...models.s5.config import S5Config, every_of
from ...models.s5.shapes import gated_output, s5_shapes
from ...program import Program
from ...program.nodes import Node
from ...train.data.inputs import Inputs
from ..family import Family
from ..lowering import DeadZone, Report, dead_zones
from .float_values import float_values
from .frozen import FrozenS5Classifier
from .model import QuantS5Classifier
from .report import STATES, growing_modes, report


class S5Family(Family[S5Classifier, QuantS5Classifier, FrozenS5Classifier]):
    """Event-driven S5 classifiers."""

    name = "s5"
    reads = "events"
    inputs = ("vocab", "in_features")
    recipe = "spoken-digits"
    model = S5Classifier
    qat = QuantS5Classifier
    frozen = FrozenS5Classifier

    def answers_every(self, settings: Mapping[str, Any]) -> int | None:
        """See `FloatFamily.answers_every`."""
        return every_of(S5Config, settings)

    def shapes(self, settings: Mapping[str, Any], *, num_classes: int, **inputs: int) -> Iterator[Shape]:
        """See `FloatFamily.shapes`."""
        return s5_shapes(S5Config.from_mapping(settings, num_classes=num_classes, **inputs), gated_output)

    def build(self, settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **inputs: int) -> S5Classifier:
        """See `Family.build`."""
        return build_s5(settings, num_classes=num_classes, seed=seed, **inputs)

    def dead_zones(self, qat: QuantS5Classifier, nodes: Sequence[Node]) -> Iterator[DeadZone]:
        """See `Family.dead_zones`; growing modes are held."""
        return dead_zones(nodes, STATES, growing_modes(qat))

    def report(self, qat: QuantS5Classifier, program: Program) -> Report:
        """See `Family.report`."""
        return report(qat, program)

    def float_values(self, model: S5Classifier, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`."""
        return float_values(QuantS5Classifier, model, program, inputs)
