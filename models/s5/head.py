"""Read-out over the encoder's outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import STEPS
from .pool import TIME_EPSILON
from .times import EventTimes

NEWEST = ("last", STEPS)
"""Heads of which the newest output says all."""


def read_out(x: Tensor, times: EventTimes, total_time: Tensor, head: str) -> Tensor:
    """One vector a sample, over the complete windows.

        pool      mean of x_i
        timepool  sum_i x_i (dt_i + 1e-6) / total_time       (the plain mean where total_time is 0)
        last      x_{n-1}; so does steps, of which this is the newest

    Args:
        x: (B, N, H), the encoder's outputs.
        times: their times; ``times.lengths`` says how many windows n <= N are complete.
        total_time: (B,) ms, the sum over *all* events of the sample, those after the last complete window included.
        head: "pool", "timepool", "last" or "steps".

    Returns:
        (B, H); zero for a sample without a complete window.
    """
    count = times.lengths.unsqueeze(1)
    if head in NEWEST:
        picked = torch.arange(x.shape[1], device=x.device) == count - 1
        return torch.einsum("bn,bnh->bh", picked.to(x.dtype), x)
    if head == "timepool":
        weights = times.real * (times.pool_dt + TIME_EPSILON)
        divisor = timepool_divisor(total_time, times.lengths)
    else:
        weights = times.real
        divisor = times.lengths.clamp(min=1)
    return torch.einsum("bn,bnh->bh", weights.to(x.dtype), x) / divisor.to(x.dtype).unsqueeze(1)


def timepool_divisor(total_time: Tensor, count: Tensor) -> Tensor:
    """The divisor of timepool, (B,): the total time, or, where no time has passed, that of the plain mean."""
    return torch.where(total_time > 0, total_time, TIME_EPSILON * count.clamp(min=1).to(total_time.dtype))


def update_read_out(read: Tensor, value: Tensor, pool_dt: Tensor, valid: Tensor, head: str) -> Tensor:
    """The read-out's running sum (B, H) after one more encoder output (B, H); invalid outputs leave it as it is."""
    if head == "timepool":
        following = read + value * (pool_dt + TIME_EPSILON).unsqueeze(1)
    else:
        following = value if head in NEWEST else read + value
    return torch.where(valid.unsqueeze(1), following, read)
