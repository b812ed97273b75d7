"""Means over the batches and steps of a training, kept on its device: nothing waits for them before they are read."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torchmetrics import Metric


class WeightedMean(Metric):
    """The mean of scalars with weights, over all processes that share the work."""

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: int) -> None:
        """Take in a scalar that counts ``weight`` times."""
        self.total += value.to(self.total.dtype) * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """The mean, scalar."""
        return self.total / self.weight


class MovingAverage(nn.Module):
    """The exponential moving average of a model's parameters, from those after the first step on; buffers are copied.

    Args:
        model: whose copy ``module`` holds the average.
        decay: of the average, a step.
    """

    n_averaged: Tensor

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = deepcopy(model)
        self.decay = decay
        self.register_buffer("n_averaged", torch.tensor(0))

    @torch.no_grad()
    def update_parameters(self, model: nn.Module, first: bool) -> None:
        """Move along with ``model`` after a step, the first one of all or not."""
        own: list[Tensor] = list(self.module.parameters())
        new: list[Tensor] = list(model.parameters())
        if first:
            torch._foreach_copy_(own, new)
        else:
            torch._foreach_lerp_(own, new, 1 - self.decay)
        self.n_averaged += 1
        for kept, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)
