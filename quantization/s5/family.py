"""S5 in the table of model families."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ...models.s5.build import build_s5
from ...models.s5.classifier import S5Classifier
from ...program import Program
from ...program.nodes import Node
from ...train.data.inputs import Inputs, Timing
from ..config import QuantizationConfig
from ..family import Family
from ..lowering import DeadZone
from .frozen import FrozenS5Classifier
from .lower import dead_zones, growing_modes, lowering_report
from .model import QuantS5Classifier
from .values import float_values


class S5Family(Family[S5Classifier, QuantS5Classifier, FrozenS5Classifier]):
    """Event-driven S5 classifiers."""

    name = "s5"
    reads = "events"
    inputs = ("vocab", "in_features")
    recipe = "spoken-digits"
    model = S5Classifier
    frozen = FrozenS5Classifier

    def build(self, settings: Mapping[str, Any], *, num_classes: int, seed: int, **inputs: int) -> S5Classifier:
        """See `Family.build`."""
        return build_s5(settings, num_classes=num_classes, seed=seed, **inputs)

    def prepare(self, model: S5Classifier, config: QuantizationConfig, timing: Timing) -> QuantS5Classifier:
        """See `Family.prepare`."""
        return QuantS5Classifier(copy.deepcopy(model), config, timing)

    def dead_zones(self, qat: QuantS5Classifier, nodes: Sequence[Node]) -> Iterator[DeadZone]:
        """See `Family.dead_zones`; growing modes are held and have none."""
        return dead_zones(nodes, growing_modes(qat))

    def report(self, qat: QuantS5Classifier, program: Program) -> list[dict[str, Any]]:
        """See `Family.report`."""
        return lowering_report(qat, program)

    def table(self, report: list[dict[str, Any]], qat: QuantS5Classifier) -> Table:
        """See `Family.table`."""
        title = f"lowering at a tick of {qat.tick_ms:g} ms"
        table = Table("layer", "dead zone", "gap digits", "64-bit", "clipped", "growing", title=title)
        for entry in report:
            wide = [what for what, size in entry["registers"].items() if size == "i64"]
            table.add_row(
                entry["layer"].replace("stages.", "").replace("layers.", ""),
                f"{entry['dead_zone']['share']:.2%}",
                str(entry["gap_digits"]),
                ", ".join(wide) or "none",
                str(sum(entry["clipped_weights"].values())),
                str(entry["growing_modes"]),
            )
        return table

    def float_values(self, model: S5Classifier, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`."""
        return float_values(model, program, inputs)
