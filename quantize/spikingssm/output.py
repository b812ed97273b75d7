"""What a block computes behind its state space."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...models.spikingssm.layer import SpikingS4D
from ..spiking_output import Spiking


class SpikingChannels(Spiking[SpikingS4D]):
    """See `Spiking`; channels come first, (H, B, T)."""

    def values(self, layer: SpikingS4D, sums: Tensor) -> Iterator[tuple[str, Tensor]]:
        """See `Output.values`."""
        yield "current", sums
        spikes = layer.neuron(sums)
        yield "neurons", spikes
        mixed = torch.einsum("oh,hbl->obl", layer.output.weight, spikes) + layer.output.bias.reshape(-1, 1, 1)
        y, gate = mixed.chunk(2)
        yield "y", y
        yield "gate", gate
        sigmoid = torch.sigmoid(gate)
        yield "sigmoid", sigmoid
        yield "gated", y * sigmoid
