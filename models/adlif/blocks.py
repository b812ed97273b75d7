"""Blocks: the labelled stretches of a sequence, by number of the block at each step."""

from __future__ import annotations

import torch
from torch import Tensor

AGGREGATIONS = ("softmax", "mean")


def at_steps(outputs: Tensor, lengths: Tensor, steps: int, every: int) -> Tensor:
    """Outputs of windows at each step: that of the step's own window, of those after the last complete one its own.

    Args:
        outputs: (B, steps // every, C), one a window.
        lengths: (B,) int64, steps of each sequence, the others are padding.
        steps: T.
        every: steps of a window.

    Returns:
        (B, T, C); 0 in sequences without a complete window. Padding has the last output.
    """
    if every == 1:
        return outputs
    windows = torch.arange(steps, device=outputs.device) // every
    place = torch.minimum(windows, (lengths.to(outputs.device) // every).unsqueeze(1) - 1)
    if not outputs.shape[1]:
        return outputs.new_zeros(len(outputs), steps, outputs.shape[2])
    found = outputs.gather(1, place.clamp(min=0).unsqueeze(2).expand(-1, -1, outputs.shape[2]))
    return found * (place >= 0).unsqueeze(2)


def aggregate(potentials: Tensor, blocks: Tensor, count: int, aggregation: str) -> Tensor:
    """Reduce the potentials of the steps of each block to its logits (Baronig et al. 2024).

    ``softmax``: the sum over the block of the softmax of each step. ``mean``: the mean over the block of the
    potentials. A block without a step has logits 0.

    Args:
        potentials: (B, T, C).
        blocks: (B, T) int64 in [0, count).
        count: number of blocks N.
        aggregation: "softmax" or "mean".

    Returns:
        (B, N, C).
    """
    batch, _, classes = potentials.shape
    values = potentials.softmax(-1) if aggregation == "softmax" else potentials
    rows = (blocks + count * torch.arange(batch, device=blocks.device).unsqueeze(1)).reshape(-1)
    sums = values.new_zeros(batch * count, classes).index_add(0, rows, values.reshape(-1, classes))
    if aggregation == "mean":
        sizes = rows.new_zeros(batch * count).scatter_add_(0, rows, torch.ones_like(rows)).clamp(min=1)
        sums = sums / sizes.unsqueeze(1).to(sums.dtype)
    return sums.reshape(batch, count, classes)
