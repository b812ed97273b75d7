"""The batch of event sequences that models are trained on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..inputs import Inputs


class EventBatch(NamedTuple):
    """A padded batch of B event sequences of at most L events, C classes.

    tokens: int64 (B, L), -1 after the last event; or dense input, float (B, L, d_in), 0 after the last event.
    dt: float32 (B, L), milliseconds; the interval by which the state decays before event k, 0 in the padding.
    pool_dt: float32 (B, L), milliseconds; exact intervals at 1 us resolution, the weights of timepool.
    lengths: int64 (B,), events in each sequence.
    targets: float32 (B, C), soft labels; one-hot where nothing was mixed.
    """

    tokens: torch.Tensor
    dt: torch.Tensor
    pool_dt: torch.Tensor
    lengths: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def of(cls, inputs: Inputs, targets: Tensor) -> EventBatch:
        """Events with their targets."""
        values, dt, lengths, pool_dt = inputs.events()
        return cls(values, dt, pool_dt, lengths, targets)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> EventBatch:
        """Return the batch on ``device``."""
        return EventBatch(*(tensor.to(device, non_blocking=non_blocking) for tensor in self))

    def apply(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """The model's logits and the soft labels, both (B, C)."""
        return model(self.tokens, self.dt, self.lengths, self.pool_dt), self.targets

    def padded(self) -> Inputs:
        """The samples as a model reads them."""
        return Inputs(self.tokens, self.dt, self.lengths, self.pool_dt)
