"""Adaptive LIF networks in the table of model families."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from ...models.adlif.build import build_adlif
from ...models.adlif.network import AdLIFNetwork
from ...program import Program
from ...program.nodes import Node
from ...train.data.inputs import Inputs, Timing
from ...train.data.sequences.kinds import KINDS
from ..config import QuantizationConfig
from ..family import Family
from ..lowering import DeadZone
from .derive import INPUT, LOGITS, READOUT, cell_name
from .frozen import FrozenAdLIF
from .lower import dead_zones, lowering_report
from .model import QuantAdLIF, not_spiking


class AdLIFFamily(Family[AdLIFNetwork, QuantAdLIF, FrozenAdLIF]):
    """Clocked networks of LIF, EF-adLIF and SE-adLIF neurons."""

    name = "adlif"
    reads = "sequences"
    inputs = ("in_features",)
    recipe = "adlif-spoken-digits"
    model = AdLIFNetwork
    frozen = FrozenAdLIF

    def build(self, settings: Mapping[str, Any], *, num_classes: int, seed: int, **inputs: int) -> AdLIFNetwork:
        """See `Family.build`."""
        return build_adlif(settings, num_classes=num_classes, seed=seed, **inputs)

    def unavailable(self, config: Mapping[str, Any]) -> str | None:
        """See `Family.unavailable`."""
        task, cell = config["task"], config["model"].get("cell")
        if task.get("kind") in KINDS and KINDS[task["kind"]].regression:
            return (
                f"task {task.get('name')} feeds the model's predictions back as its input, which no program does; "
                "quantize a model of a task with classes"
            )
        if cell == "lstm":
            return not_spiking(cell)
        return None

    def prepare(self, model: AdLIFNetwork, config: QuantizationConfig, timing: Timing) -> QuantAdLIF:
        """See `Family.prepare`."""
        return QuantAdLIF(copy.deepcopy(model), config, timing)

    def dead_zones(self, qat: QuantAdLIF, nodes: Sequence[Node]) -> Iterator[DeadZone]:
        """See `Family.dead_zones`."""
        return dead_zones(nodes)

    def report(self, qat: QuantAdLIF, program: Program) -> list[dict[str, Any]]:
        """See `Family.report`."""
        return lowering_report(qat, program)

    def table(self, report: list[dict[str, Any]], qat: QuantAdLIF) -> Table:
        """See `Family.table`."""
        columns = ("layer", "formats", "dead zones", "64-bit", "clipped", "feedback")
        caption = "feedback: the largest share of its limit, below which a neuron is stable"
        table = Table(*columns, title="lowering", caption=caption)
        for entry in report:
            wide = [what for what, size in entry["registers"].items() if size == "i64"]
            zones = [f"{state} {zone['share']:.2%}" for state, zone in entry["dead_zones"].items()]
            table.add_row(
                entry["layer"],
                "\n".join(f"{name} {format}" for name, format in entry["formats"].items()),
                "\n".join(zones),
                "\n".join(wide) or "none",
                str(sum(entry["clipped_weights"].values())),
                "" if entry["stability"] is None else f"{entry['stability']:.1%}",
            )
        return table

    def float_values(self, model: AdLIFNetwork, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`."""
        model = model.double().eval()
        x = inputs.values[:, : int(inputs.lengths[0])].double()
        found = {INPUT: x}
        with torch.no_grad():
            for number, cell in enumerate(model.cells):
                trace = cell.trace(x)
                states = [trace.u_pre * (1 - trace.z), *([] if cell.order == "lif" else [trace.w])]
                found |= {cell_name(number): trace.z, f"{cell_name(number)}:state": torch.cat(states, dim=2)}
                x = trace.z
            found[READOUT], _ = model.readout.sequence(x)
        found[LOGITS] = found[READOUT][:, -1:]
        return {name: tensor[0].numpy() for name, tensor in found.items()}
