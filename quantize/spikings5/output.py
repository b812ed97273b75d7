"""What a layer of spiking S5 computes behind its state space, and its float values."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...models.spikings5.network import SpikingEventLayer
from ..spiking_output import Spiking


class SpikingEvents(Spiking[SpikingEventLayer]):
    """See `Spiking`."""

    def values(self, layer: SpikingEventLayer, sums: Tensor) -> Iterator[tuple[str, Tensor]]:
        """See `Output.values`."""
        yield "current", sums
        spikes = layer.fire(sums)
        yield "neurons", spikes
        y, gate = layer.output(spikes).chunk(2, dim=-1)
        yield "y", y
        yield "gate", gate
        sigmoid = torch.sigmoid(gate)
        yield "sigmoid", sigmoid
        yield "gated", y * sigmoid
