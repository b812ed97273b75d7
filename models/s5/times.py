"""When the events of a batch happened, at the rate of one layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..scan.intervals import Intervals


@dataclass(frozen=True, eq=False)
class EventTimes:
    """Time differences and lengths of a batch of padded sequences.

    Attributes:
        dt: (B, L) ms, the decay interval before each event; 0 in the padding.
        pool_dt: (B, L) ms, the weights of timepool; 0 in the padding.
        lengths: (B,) int64, real events of each sequence.
    """

    dt: Tensor
    pool_dt: Tensor
    lengths: Tensor

    @cached_property
    def real(self) -> Tensor:
        """(B, L) bool, true for real events and false for padding."""
        return torch.arange(self.dt.shape[1], device=self.dt.device) < self.lengths.unsqueeze(1)

    @cached_property
    def intervals(self) -> Intervals:
        """The distinct values of dt and where they occur; shared by the layers of a stage."""
        return Intervals.of(self.dt)

    def pooled(self, stride: int) -> EventTimes:
        """The times of windows of ``stride`` events: differences are summed, an incomplete last window is dropped."""
        return EventTimes(windows(self.dt, stride).sum(2), windows(self.pool_dt, stride).sum(2), self.lengths // stride)


def windows(x: Tensor, stride: int) -> Tensor:
    """Cut (B, L, ...) into (B, L // stride, stride, ...), dropping what does not fill a window."""
    batch, length = x.shape[:2]
    count = length // stride
    return x[:, : count * stride].reshape(batch, count, stride, *x.shape[2:])
