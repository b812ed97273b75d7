"""SpikingSSM in the table of model families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...models.initial import Shape
from ...models.spikingssm.build import build_spikingssm
from ...models.spikingssm.config import SpikingSSMConfig
from ...models.spikingssm.network import SpikingSSM
from ...models.spikingssm.shapes import spikingssm_shapes
from ...program import Program
from ...program.nodes import Node
from ...train.data.inputs import Inputs
from ..family import Family
from ..lowering import DeadZone, Report, dead_zones
from .float_values import float_values
from .frozen import FrozenSpikingSSM
from .model import QuantSpikingSSM, why_not
from .report import STATES, report


class SpikingSSMFamily(Family[SpikingSSM, QuantSpikingSSM, FrozenSpikingSSM]):
    """Spiking state-space classifiers of sequences."""

    name = "spikingssm"
    reads = "sequences"
    inputs = ("in_features", "vocab")
    recipe = "spikingssm-smnist"
    model = SpikingSSM
    qat = QuantSpikingSSM
    frozen = FrozenSpikingSSM

    def shapes(self, settings: Mapping[str, Any], *, num_classes: int, **inputs: int) -> Iterator[Shape]:
        """See `FloatFamily.shapes`."""
        return spikingssm_shapes(SpikingSSMConfig.from_mapping(settings, num_classes=num_classes, **inputs))

    def build(self, settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **inputs: int) -> SpikingSSM:
        """See `FloatFamily.build`."""
        return build_spikingssm(settings, num_classes=num_classes, seed=seed, **inputs)

    def unavailable(self, config: Mapping[str, Any]) -> str | None:
        """See `Family.unavailable`."""
        model = config["model"]
        return why_not(bool(model.get("bidirectional")), model.get("head", "mean"))

    def dead_zones(self, qat: QuantSpikingSSM, nodes: Sequence[Node]) -> Iterator[DeadZone]:
        """See `Family.dead_zones`."""
        return dead_zones(nodes, STATES)

    def report(self, qat: QuantSpikingSSM, program: Program) -> Report:
        """See `Family.report`."""
        return report(qat, program)

    def float_values(self, model: SpikingSSM, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`."""
        with torch.no_grad():
            found = float_values(model.double().eval(), inputs)
        return {name: value for name, value in found.items() if name.partition(":")[0] in program.by_name}
