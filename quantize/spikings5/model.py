"""The QAT model and the frozen model of spiking S5: those of S5 with neurons behind the state space."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...models.spikes import listening
from ...models.spikings5.network import SpikingS5
from ...train.data.inputs import Inputs
from ..frozen import NodeTable
from ..s5.frozen import FrozenEventClassifier
from ..s5.model import QuantS5Layers
from ..spiking_output import SpikingOutput, frozen_spiking
from .output import SpikingEvents


class FrozenSpikingS5(FrozenEventClassifier):
    """`SpikingS5` as an integer program computes it."""

    @staticmethod
    def output(table: NodeTable, path: str, device: torch.device) -> SpikingOutput:
        """See `FrozenEventClassifier.output`."""
        return frozen_spiking(table, path, device)


class QuantSpikingS5(QuantS5Layers[SpikingS5, FrozenSpikingS5]):
    """The QAT model of a `SpikingS5`. Its neurons follow the exact recurrence."""

    frozen = FrozenSpikingS5

    @classmethod
    def output_of(cls, model: SpikingS5) -> SpikingEvents:
        """See `QuantEventClassifier.output_of`."""
        return SpikingEvents(model.config.tau)

    def hidden_nodes(self) -> tuple[str, ...]:
        """See `QATModel.hidden_nodes`."""
        return tuple(layer.geometry.node("neurons") for layer in self.layers)

    def hidden_every(self, name: str) -> int:
        """See `QATModel.hidden_every`: events of a window."""
        strides = [layer.geometry.stride for layer in self.layers]
        return math.prod(strides[: self.hidden_nodes().index(name) + 1])

    def float_signals(self, inputs: Inputs) -> dict[str, Tensor]:
        """See `QATModel.float_signals`."""
        with listening(self.model) as heard:
            self.model(*inputs.events())
        return {name: spikes for name, (spikes,) in zip(self.hidden_nodes(), heard.values(), strict=True)}
