"""Event pooling: one output for each window of events."""

from __future__ import annotations

from torch import Tensor, nn

from .times import EventTimes, windows

# Weights of timepool are differences in ms plus this, so that simultaneous events count alike.
TIME_EPSILON = 1e-6


class EventPool(nn.Module):
    """Pool windows of ``stride`` events (Schoene et al. 2024, section 3.3); an incomplete last window is dropped.

    ``last`` takes the window's *first* element, as published weights were trained with it; ``avgpool`` the mean;
    ``timepool`` the mean weighted by ``pool_dt + 1e-6``.
    """

    def __init__(self, stride: int, pooling: str) -> None:
        super().__init__()
        self.stride = stride
        self.pooling = pooling

    def weights(self, times: EventTimes) -> Tensor | None:
        """What each event of a window counts, (B, n, stride), adding to one; None for equal shares."""
        if self.pooling != "timepool":
            return None
        weights = windows(times.pool_dt, self.stride) + TIME_EPSILON
        return weights / weights.sum(2, keepdim=True)

    def forward(self, x: Tensor, times: EventTimes) -> Tensor:
        """Pool x (B, L, H) to (B, L // stride, H)."""
        if self.stride == 1:
            return x
        parts = windows(x, self.stride)
        if self.pooling == "last":
            return parts[:, :, 0]
        weights = self.weights(times)
        return parts.mean(2) if weights is None else (parts * weights.to(x.dtype).unsqueeze(3)).sum(2)

    def extra_repr(self) -> str:
        """The settings."""
        return f"stride={self.stride}, pooling={self.pooling}"
