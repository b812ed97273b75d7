"""The frozen twin of a network for Loihi; its forward gives the program's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.adlif.blocks import aggregate
from ...program.nodes import LoihiLIF, Node
from ..twin import FrozenTwin, Trace
from .layer import LayerConstants
from .loop import Dynamics
from .network import GAIN, INPUT, NetworkConstants, run_network


class FrozenLoihi(FrozenTwin[NetworkConstants]):
    """A network of `LoihiLIF` layers as Loihi computes it; see `FrozenTwin`. Classes are told by the spikes a step."""

    def settings(self) -> dict[str, Any]:
        """See `FrozenTwin.settings`."""
        return {}

    def forward(self, inputs: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits (B, N, C), float64: the spikes a step of each block, times `network.GAIN`."""
        return GAIN * aggregate(run_network(self.constants(), inputs), blocks, count, "mean")

    def trace(self, inputs: Tensor) -> tuple[Tensor, Trace]:
        """Output spikes (B, T, C) of inputs (B, T, F), and the int64 codes of every node and state."""
        trace: Trace = {}
        with torch.no_grad():
            spikes = run_network(self.constants(), inputs, trace=trace)
        return spikes, trace

    def _derive(self, nodes: Sequence[Node], device: torch.device) -> NetworkConstants:
        def tensor(codes: NDArray) -> Tensor:
            return torch.tensor(codes, dtype=torch.float64, device=device)

        layers = {
            node.name: LayerConstants(
                tensor(node.weight), tensor(node.recurrent), tensor(node.bias), Dynamics(node.du, node.dv, node.vth)
            )
            for node in nodes
            if isinstance(node, LoihiLIF)
        }
        return NetworkConstants(next(node.output for node in nodes if node.name == INPUT), layers)
