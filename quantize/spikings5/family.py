"""Spiking S5 in the table of model families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.initial import Shape
from ...models.s5.config import every_of
from ...models.s5.shapes import s5_shapes
from ...models.spikings5.build import build_spikings5
from ...models.spikings5.config import SpikingS5Config
from ...models.spikings5.network import SpikingS5
from ...models.spikings5.shapes import spiking_output
from ...program import Program
from ...program.nodes import Node
from ...train.data.inputs import Inputs
from ..family import Family
from ..lowering import DeadZone, Report
from .float_values import float_values
from .model import FrozenSpikingS5, QuantSpikingS5
from .report import report, zones


class SpikingS5Family(Family[SpikingS5, QuantSpikingS5, FrozenSpikingS5]):
    """Spiking state-space classifiers of events."""

    name = "spikings5"
    reads = "events"
    inputs = ("vocab", "in_features")
    recipe = "spikings5-spoken-digits"
    model = SpikingS5
    qat = QuantSpikingS5
    frozen = FrozenSpikingS5

    def answers_every(self, settings: Mapping[str, Any]) -> int | None:
        """See `FloatFamily.answers_every`."""
        return every_of(SpikingS5Config, settings)

    def shapes(self, settings: Mapping[str, Any], *, num_classes: int, **inputs: int) -> Iterator[Shape]:
        """See `FloatFamily.shapes`."""
        return s5_shapes(SpikingS5Config.from_mapping(settings, num_classes=num_classes, **inputs), spiking_output)

    def build(self, settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **inputs: int) -> SpikingS5:
        """See `FloatFamily.build`."""
        return build_spikings5(settings, num_classes=num_classes, seed=seed, **inputs)

    def dead_zones(self, qat: QuantSpikingS5, nodes: Sequence[Node]) -> Iterator[DeadZone]:
        """See `Family.dead_zones`."""
        return zones(qat, nodes)

    def report(self, qat: QuantSpikingS5, program: Program) -> Report:
        """See `Family.report`."""
        return report(qat, program)

    def float_values(self, model: SpikingS5, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`."""
        return float_values(model, program, inputs)
