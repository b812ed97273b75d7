"""The recurrence as a plain loop: the oracle of every faster implementation."""

from __future__ import annotations

import torch
from torch import Tensor


def scan_reference(decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
    """Run ``x_k = decay_k * x_{k-1} + drive_k`` one event at a time.

    Args:
        decay: (B, L, P), complex or real.
        drive: (B, L, P), of the same dtype.
        initial: (B, P), the state before the first event.

    Returns:
        The states x_0 .. x_{L-1}, (B, L, P).
    """
    states = []
    state = initial
    for decay_k, drive_k in zip(decay.unbind(1), drive.unbind(1), strict=True):
        state = decay_k * state + drive_k
        states.append(state)
    return torch.stack(states, dim=1) if states else drive
