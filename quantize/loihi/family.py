"""Networks of LIF neurons for Loihi in the table of model families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.adlif.network import AdLIFNetwork
from ...program import Program
from ...program.nodes import LoihiLIF, Node
from ...program.nodes.loihi import STATE_BITS, STATE_LIMIT
from ...train.data.inputs import Inputs
from ...train.data.sequences.ecg import EcgTask
from ...train.data.sequences.kinds import KINDS
from ..lowering import DeadZone, Report
from ..nodes import DENSE
from ..spiking import cell_name
from ..spiking_family import SpikingFamily
from .frozen import FrozenLoihi
from .model import QuantLoihi, neuron_refusal
from .report import report

ELSE = "use another preset, such as quantize=w8a8"
SLOWEST = "train with time constants below 8192 steps"


class LoihiFamily(SpikingFamily[QuantLoihi, FrozenLoihi]):
    """Clocked networks of LIF neurons in the arithmetic of Loihi and of Lava's own processes."""

    name = "loihi"
    arithmetic = "loihi"
    qat = QuantLoihi
    frozen = FrozenLoihi

    def unavailable(self, config: Mapping[str, Any]) -> str | None:
        """See `Family.unavailable`."""
        model = config["model"]
        family, cell = model.get("family"), model.get("cell")
        if family != "adlif":
            return f"model.family={family} has no LIF neurons, which Loihi's arithmetic is made of; {ELSE}"
        refusal = neuron_refusal(str(cell), model.get("reset", "zero"), model.get("refractory", 0))
        if refusal:
            return refusal
        task = KINDS.get(config["task"].get("kind"))
        if task is not None and task.regression:
            return f"task {config['task'].get('name')} predicts values, of which spikes are none; {ELSE}"
        if task is EcgTask:
            return f"task {config['task'].get('name')} labels every step, which no count of spikes decides; {ELSE}"
        return None

    def report(self, qat: QuantLoihi, program: Program) -> Report:
        """See `Family.report`."""
        return report(qat, program)

    def dead_zones(self, qat: QuantLoihi, nodes: Sequence[Node]) -> Iterator[DeadZone]:
        """See `Family.dead_zones`: decays truncate, so that nothing stands still but what loses less than 1 / 8192."""
        for path, node in zip(qat.paths, (node for node in nodes if isinstance(node, LoihiLIF)), strict=True):
            still = np.flatnonzero(node.each("dv") == 0)
            if still.size:
                units = float(STATE_LIMIT)
                yield DeadZone(path, "potential", int(still[0]), units, 1.0, STATE_BITS, SLOWEST, fixed=True)

    def float_values(self, model: AdLIFNetwork, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """See `Family.float_values`: input and spikes of the layers that the float model has.

        Its potentials have other units, and its read-out is another.
        """
        kept = {DENSE, *(cell_name(number) for number in range(len(model.cells)))}
        return {name: values for name, values in super().float_values(model, program, inputs).items() if name in kept}
