"""Adaptive LIF networks in the table of model families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.adlif.network import AdLIFNetwork
from ...program import Program
from ...program.nodes import Node
from ...train.data.inputs import Inputs
from ...train.data.sequences.kinds import KINDS
from ..lowering import DeadZone, Report, dead_zones
from ..nodes import LOGITS
from ..spiking import READOUT, not_spiking
from ..spiking_family import SpikingFamily
from .frozen import FrozenAdLIF
from .model import QuantAdLIF
from .report import STATES, report


class AdLIFFamily(SpikingFamily[QuantAdLIF, FrozenAdLIF]):
    """Clocked networks of LIF, EF-adLIF and SE-adLIF neurons."""

    name = "adlif"
    qat = QuantAdLIF
    frozen = FrozenAdLIF

    def unavailable(self, config: Mapping[str, Any]) -> str | None:
        """See `Family.unavailable`."""
        task, cell = config["task"], config["model"].get("cell")
        if task.get("kind") in KINDS and KINDS[task["kind"]].answers == "forecast":
            return (
                f"task {task.get('name')} feeds the model's predictions back as its input, which no program does; "
                "quantize a model of a task with classes"
            )
        return not_spiking(cell) if cell == "lstm" else None

    def dead_zones(self, qat: QuantAdLIF, nodes: Sequence[Node]) -> Iterator[DeadZone]:
        """See `Family.dead_zones`."""
        return dead_zones(nodes, STATES)

    def report(self, qat: QuantAdLIF, program: Program) -> Report:
        """See `Family.report`."""
        return report(qat, program)

    def float_values(self, model: AdLIFNetwork, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`."""
        found = dict(super().float_values(model, program, inputs))
        return found | {LOGITS: found[READOUT][-1:]}
