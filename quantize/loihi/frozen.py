"""The frozen QAT model of a network for Loihi; its forward gives the program's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.adlif.blocks import aggregate
from ...program.nodes import DenseInput, LoihiLIF, Node
from ...train.data.inputs import Inputs
from ..frozen import FrozenModel, NodeTable
from ..nodes import DENSE
from ..tracing import Recorder
from .layer import QuantizedLayer
from .loop import Dynamics
from .network import GAIN, LOGITS, QuantizedNetwork, run_network


class FrozenLoihi(FrozenModel[QuantizedNetwork]):
    """A network of `LoihiLIF` layers as Loihi computes it; see `FrozenModel`. Classes are told by the spikes a step."""

    logits = LOGITS

    def settings(self) -> dict[str, Any]:
        """See `FrozenModel.settings`."""
        return {}

    def forward(self, inputs: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits (B, N, C), float64: the spikes a step of each block, times `network.GAIN`."""
        return self.decide(run_network(self.quantized(), inputs), blocks, count)

    def decide(self, said: Tensor, blocks: Tensor, count: int) -> Tensor:
        """See `FrozenModel.decide`; of spikes."""
        return GAIN * aggregate(said, blocks, count, "mean")

    def _run(self, inputs: Inputs, record: Recorder) -> Tensor:
        """The spikes (B, T, C) of the output layer."""
        return run_network(self.quantized(), inputs.values, record=record)

    def _derive(self, nodes: Sequence[Node], device: torch.device) -> QuantizedNetwork:
        def tensor(codes: NDArray) -> Tensor:
            return torch.tensor(codes, dtype=torch.float64, device=device)

        layers = {
            node.name: QuantizedLayer(
                tensor(node.weight), tensor(node.recurrent), tensor(node.bias), Dynamics(node.du, node.dv, node.vth)
            )
            for node in nodes
            if isinstance(node, LoihiLIF)
        }
        return QuantizedNetwork(NodeTable(nodes).get(DenseInput, DENSE).output, layers)
