"""Networks of LIF neurons for Loihi: their place in the table of families, and the report of lowering."""

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
from ...program.bounds import register
from ...program.nodes import LoihiLIF, Node
from ...program.nodes.loihi import LIMITS, STATE_BITS, STATE_LIMIT
from ...train.data.inputs import Inputs, Timing
from ...train.data.sequences.ecg import EcgTask
from ...train.data.sequences.kinds import KINDS
from ..config import QuantizationConfig
from ..family import Family
from ..lowering import DeadZone
from .frozen import FrozenLoihi
from .model import QuantLoihi, cell_refusal
from .network import INPUT

ELSE = "use another preset, such as quantize=w8a8"
SLOWEST = "train with time constants below 8192 steps"


class LoihiFamily(Family[AdLIFNetwork, QuantLoihi, FrozenLoihi]):
    """Clocked networks of LIF neurons in the arithmetic of Loihi and of Lava's own processes."""

    name = "loihi"
    arithmetic = "loihi"
    reads = "sequences"
    inputs = ("in_features",)
    recipe = "adlif-spoken-digits"
    model = AdLIFNetwork
    frozen = FrozenLoihi

    def build(self, settings: Mapping[str, Any], *, num_classes: int, seed: int, **inputs: int) -> AdLIFNetwork:
        """See `Family.build`; the float model is one of adaptive LIF networks."""
        return build_adlif(settings, num_classes=num_classes, seed=seed, **inputs)

    def unavailable(self, config: Mapping[str, Any]) -> str | None:
        """See `Family.unavailable`."""
        family, cell = config["model"].get("family"), config["model"].get("cell")
        if family != "adlif":
            return f"model.family={family} has no LIF neurons, which Loihi's arithmetic is made of; {ELSE}"
        if cell != "lif":
            return cell_refusal(cell)
        task = KINDS.get(config["task"].get("kind"))
        if task is not None and task.regression:
            return f"task {config['task'].get('name')} predicts values, of which spikes are none; {ELSE}"
        if task is EcgTask:
            return f"task {config['task'].get('name')} labels every step, which no count of spikes decides; {ELSE}"
        return None

    def prepare(self, model: AdLIFNetwork, config: QuantizationConfig, timing: Timing) -> QuantLoihi:
        """See `Family.prepare`."""
        return QuantLoihi(copy.deepcopy(model), config, timing)

    def report(self, qat: QuantLoihi, program: Program) -> list[dict[str, Any]]:
        """See `Family.report`."""
        return lowering_report(qat, program)

    def table(self, report: list[dict[str, Any]], qat: QuantLoihi) -> Table:
        """See `Family.table`."""
        columns = ("layer", "input", "weights", "du", "dv", "vth", "clipped")
        caption = "du, dv: the current and the potential lose (du + 1) / 4096 and dv / 4096 a step; vth: the threshold"
        hurried = ", ".join(f"{entry['slower']} of {entry['layer']}" for entry in report if entry["slower"])
        if hurried:
            caption += (
                f"; slower by themselves than dv, and late or silent under an input that lasts: {hurried}; "
                "quantize.shared_param=false gives each neuron its own"
            )
        table = Table(*columns, title="lowering to Loihi", caption=caption)
        for entry in report:
            clipped = sum(entry["clipped_weights"].values())
            dynamics = [_range(entry[what]) for what in LIMITS]
            cells = [entry["formats"]["input"], entry["formats"]["weights"], *dynamics, str(clipped)]
            table.add_row(entry["layer"], *cells)
        return table

    def dead_zones(self, qat: QuantLoihi, nodes: Sequence[Node]) -> Iterator[DeadZone]:
        """See `Family.dead_zones`: decays truncate, so that nothing stands still but what loses less than 1 / 8192."""
        for path, node in zip(qat.paths, (node for node in nodes if isinstance(node, LoihiLIF)), strict=True):
            still = np.flatnonzero(node.each("dv") == 0)
            if still.size:
                units = float(STATE_LIMIT)
                yield DeadZone(path, "potential", int(still[0]), units, 1.0, STATE_BITS, SLOWEST, fixed=True)

    def float_values(self, model: AdLIFNetwork, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`: spikes of the layers that the float model has; potentials have other units."""
        model = model.double().eval()
        x = inputs.values[:, : int(inputs.lengths[0])].double()
        found = {INPUT: x[0].numpy()}
        with torch.no_grad():
            for number, cell in enumerate(model.cells):
                x, _ = cell.sequence(x)
                found[f"cells/{number}"] = x[0].numpy()
        return found


def lowering_report(qat: QuantLoihi, program: Program) -> list[dict[str, Any]]:
    """One entry a layer, plain JSON data: decays, thresholds, registers, clipped weights.

    ``du``, ``dv`` and ``vth`` are one number, or the least and the most of the neurons'. ``slower`` neurons share a
    decay that is faster than their own by more than a twentieth.
    """
    entries = []
    for name, layer, source in zip(qat.names(), qat.layers, qat.sources(), strict=True):
        node = program[name]
        assert isinstance(node, LoihiLIF)
        entries.append(
            {
                "layer": layer.path,
                "formats": {"input": str(node.format), "weights": f"{node.weight_bits} bits"},
                **{what: _extremes(node.each(what)) for what in LIMITS},
                "slower": layer.slower(source),
                "registers": {what: register(bound) for what, bound in node.bounds().items()},
                "clipped_weights": layer.clipped_weights(source),
            }
        )
    return entries


def _extremes(codes: NDArray[np.int64]) -> int | list[int]:
    least, most = int(codes.min()), int(codes.max())
    return least if least == most else [least, most]


def _range(value: int | list[int]) -> str:
    return str(value) if isinstance(value, int) else f"{value[0]} to {value[1]}"
