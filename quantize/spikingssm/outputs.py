"""From labelled stretches of a batch to the lengths that a program reads, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import PumiceError


def labelled_lengths(blocks: Tensor, count: int) -> Tensor:
    """Steps of each sequence up to its last labelled one, (B,) int64; blocks (B, T) in [0, count).

    Raises:
        PumiceError: more than one labelled stretch.
    """
    if count > 2:
        raise PumiceError(
            f"{count - 1} labelled stretches a sequence: a program of this family decides once, by the mean over all "
            "steps; give it a task with one label a sequence"
        )
    steps = torch.arange(1, blocks.shape[1] + 1, device=blocks.device)
    return torch.where(blocks > 0, steps, 0).amax(1) if blocks.shape[1] else steps.new_zeros(len(blocks))


def one_stretch(logits: Tensor, count: int) -> Tensor:
    """Logits (B, C) as those of the last of ``count`` stretches, (B, N, C); the others have 0."""
    rest = logits.new_zeros(len(logits), count - 1, logits.shape[1])
    return torch.cat([rest, logits.unsqueeze(1)], dim=1)
