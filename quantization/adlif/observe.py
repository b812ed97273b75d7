"""Calibration: the float network over every step, and what its edges and states reach."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models.adlif.cells import SpikingCell
from ...models.adlif.network import AdLIFNetwork
from ..observers import InputObserver, Peak


class NetworkObserver:
    """What the edges and states of a network of some layers reach."""

    def __init__(self, layers: int) -> None:
        self.input = InputObserver()
        self.potentials, self.adaptations = [[Peak() for _ in range(layers)] for _ in range(2)]
        self.readout = Peak()


@torch.no_grad()
def observe(model: AdLIFNetwork, observer: NetworkObserver, inputs: Tensor, lengths: Tensor) -> Tensor:
    """Run the float network on a batch and let ``observer`` see every real step.

    Shapes: inputs (B, T, F), lengths (B,) -> the potentials of the read-out (B, T, C).
    """
    real = torch.arange(inputs.shape[1], device=inputs.device) < lengths.unsqueeze(1)
    observer.input.update(inputs[real])
    x = inputs.to(model.readout.linear.weight.dtype)
    for cell, potential, adaptation in zip(model.cells, observer.potentials, observer.adaptations, strict=True):
        assert isinstance(cell, SpikingCell)
        trace = cell.trace(x)
        potential.update(trace.u_pre[real])
        adaptation.update(trace.w[real])
        x = trace.z
    potentials, _ = model.readout.sequence(x)
    observer.readout.update(potentials[real])
    return potentials
