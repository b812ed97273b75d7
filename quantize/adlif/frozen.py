"""The frozen QAT model of an adaptive LIF network; in float64 its forward gives the program's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...models.adlif.blocks import aggregate
from ...models.scan.neuron_step import Spiking
from ...program.nodes import DenseInput, LeakyIntegrator, Neurons, Node
from ...train.data.inputs import Inputs
from ..frozen import FrozenModel, NodeTable, values_of
from ..nodes import DENSE, LOGITS
from ..scan import NeuronCodes
from ..spiking import READOUT
from ..tracing import Recorder
from .formats import CellFormats
from .network import QuantizedCell, QuantizedNetwork, run_network


class FrozenAdLIF(FrozenModel[QuantizedNetwork]):
    """`AdLIFNetwork` as an integer program computes it; see `FrozenModel`.

    Args:
        nodes: in the program's order, as `QuantAdLIF.freeze` derives them.
        aggregation: from potentials to logits, "softmax" or "mean".
    """

    logits = LOGITS

    def __init__(self, nodes: Sequence[Node], aggregation: str) -> None:
        super().__init__(nodes)
        self.aggregation = aggregation

    def settings(self) -> dict[str, Any]:
        """See `FrozenModel.settings`."""
        return {"aggregation": self.aggregation}

    def forward(self, inputs: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits (B, N, C), float64; arguments as `AdLIFNetwork.forward`."""
        return self.decide(run_network(self.quantized(), inputs), blocks, count)

    def decide(self, said: Tensor, blocks: Tensor, count: int) -> Tensor:
        """See `FrozenModel.decide`; of potentials."""
        return aggregate(said, blocks, count, self.aggregation)

    def _run(self, inputs: Inputs, record: Recorder) -> Tensor:
        """The potentials (B, T, C) of the read-out."""
        return run_network(self.quantized(), inputs.values, record=record)

    def _derive(self, nodes: Sequence[Node], device: torch.device) -> QuantizedNetwork:
        table = NodeTable(nodes)
        readout = table.get(LeakyIntegrator, READOUT)
        return QuantizedNetwork(
            input=table.get(DenseInput, DENSE).output,
            cells=tuple(_quantized_cell(node, device) for node in nodes if isinstance(node, Neurons)),
            weight=values_of(readout.weight, readout.weight_frac, device),
            bias=values_of(readout.bias, readout.accumulator_frac, device),
            decay=values_of(readout.decay, readout.decay_frac, device),
            readout=readout.output,
        )


def _quantized_cell(node: Neurons, device: torch.device) -> QuantizedCell:
    constants = {name: values_of(getattr(node, name), getattr(node, f"{name}_frac"), device) for name in node.constants}
    unused = torch.zeros(node.neurons, dtype=torch.float64, device=device)
    return QuantizedCell(
        order=node.kind,
        formats=CellFormats(node.format, node.potential, node.second),
        input=values_of(node.input, node.input_frac, device),
        bias=values_of(node.bias, node.accumulator_frac, device),
        codes=NeuronCodes(
            recurrent=values_of(node.recurrent, node.recurrent_frac, device),
            threshold=values_of(node.threshold, node.potential.frac, device),
            **{"beta": unused, "coupling": unused, "jump": unused, **constants},
        ),
        spiking=Spiking(reset=node.reset, refractory=node.refractory),
    )
