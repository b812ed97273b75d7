"""What is compared inside of two networks: values at named nodes, at every step, in windows or over all."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from ...program.formats import Format
from ..tracing import Recorder

WINDOW = 10
"""Steps of a window in which spikes are counted."""

Signals = dict[str, Tensor]
"""By node, (B, n, width); of steps, of windows of steps, or of the whole sequence, 0 beyond a sample's length."""


class Listener(Recorder):
    """Keeps the values, with their gradients, of the nodes of some names that a forward pass shows it."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__()
        self.names = names
        self.heard: Signals = {}

    def __call__(self, name: str, value: Tensor, format: Format) -> None:
        """Keep the values of a node that is asked for."""
        if name in self.names:
            self.heard[name] = value


def each_step(values: Tensor, lengths: Tensor) -> Tensor:
    """Values (B, T, n) with those beyond the lengths (B,) set to 0."""
    real = torch.arange(values.shape[1], device=values.device) < lengths.to(values.device).unsqueeze(1)
    return values * real.unsqueeze(2)


def windowed(values: Tensor, lengths: Tensor, window: int | None) -> Tensor:
    """Means of values (B, T, n) over windows of steps, (B, ceil(T / window), n), or over each sample, (B, 1, n).

    The mean over a sample is that over its length; steps beyond it count as 0 in the last window.
    """
    values = each_step(values, lengths)
    if window is None:
        return values.sum(1, keepdim=True) / lengths.to(values).clamp(min=1).reshape(-1, 1, 1)
    batch, steps, width = values.shape
    count = -(-steps // window)
    padded = torch.cat([values, values.new_zeros(batch, count * window - steps, width)], dim=1)
    return padded.reshape(batch, count, window, width).mean(2)


def fitted(rows: Tensor, count: int) -> Tensor:
    """Rows (B, n, width) cut to ``count``, or filled up with zeros."""
    if rows.shape[1] >= count:
        return rows[:, :count]
    return torch.cat([rows, rows.new_zeros(len(rows), count - rows.shape[1], rows.shape[2])], dim=1)
