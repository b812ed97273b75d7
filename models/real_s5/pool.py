"""Pooling of outputs and of the residual stream: one value for each window of events."""

from __future__ import annotations

from torch import Tensor, nn

from ..s5.pool import TIME_EPSILON
from ..s5.times import EventTimes, windows


class OutputPool(nn.Module):
    """Pool windows of ``stride`` events; an incomplete last window is dropped.

    ``last`` takes the window's last element, ``avgpool`` the mean, ``timepool`` the mean weighted by
    ``pool_dt + 1e-6``.
    """

    def __init__(self, stride: int, pooling: str) -> None:
        super().__init__()
        self.stride, self.pooling = stride, pooling

    def forward(self, x: Tensor, times: EventTimes) -> Tensor:
        """Pool x (B, L, H) to (B, L // stride, H)."""
        if self.stride == 1:
            return x
        parts = windows(x, self.stride)
        if self.pooling == "last":
            return parts[:, :, -1]
        if self.pooling == "avgpool":
            return parts.mean(2)
        weights = windows(times.pool_dt, self.stride) + TIME_EPSILON
        shares = weights / weights.sum(2, keepdim=True)
        return (parts * shares.to(x.dtype).unsqueeze(3)).sum(2)

    def extra_repr(self) -> str:
        """The settings."""
        return f"stride={self.stride}, pooling={self.pooling}"
