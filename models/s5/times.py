"""When the events of a batch happened, at the rate of one layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...errors import PumiceError
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

    def only(self, values: Tensor) -> Tensor:
        """Those of real events, (n, ...), of ``values`` (B, L, ...)."""
        rows = values.flatten(0, 1)
        return rows if self._rows is None else rows.index_select(0, self._rows)

    @cached_property
    def _rows(self) -> Tensor | None:
        """Where real events are among all; None where all are."""
        return None if bool(self.real.all()) else self.real.flatten().nonzero().squeeze(1)

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


def event_times(
    tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None, token_input: bool, dtype: torch.dtype
) -> EventTimes:
    """The times of a batch as models take it; see `S5Classifier.forward`.

    Raises:
        PumiceError: shapes that do not fit one another, or input of the other kind.
    """
    pool_dt = dt if pool_dt is None else pool_dt
    expected = 2 if token_input else 3
    if tokens.dim() != expected:
        kind = "tokens (B, L)" if token_input else "dense input (B, L, d_in)"
        raise PumiceError(f"the model reads {kind}, but got {tokens.dim()} axes; give it {expected} axes")
    if dt.shape != tokens.shape[:2] or pool_dt.shape != dt.shape or lengths.shape != dt.shape[:1]:
        raise PumiceError(
            f"input of shape {tuple(tokens.shape)} does not fit dt {tuple(dt.shape)}, "
            f"pool_dt {tuple(pool_dt.shape)} and lengths {tuple(lengths.shape)}; they are (B, L), (B, L) and (B,)"
        )
    return EventTimes(dt.to(dtype), pool_dt.to(dtype), lengths)
