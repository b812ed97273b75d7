"""Read-out over the encoder's outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from ..s5.pool import TIME_EPSILON
from ..s5.times import EventTimes


def read_out(x: Tensor, times: EventTimes, head: str, scores: Tensor | None = None) -> Tensor:
    """One vector a sample, over the complete windows.

        pool       mean of x_i
        timepool   sum_i x_i w_i / sum_i w_i,  w_i = pool_dt_i + 1e-6
        attnpool   sum_i x_i softmax(scores)_i
        last       x_{n-1}

    Args:
        x: (B, N, H), the encoder's outputs.
        times: their times; ``times.lengths`` says how many windows n <= N are complete.
        head: see above.
        scores: (B, N), of attnpool.

    Returns:
        (B, H); zero for a sample without a complete window.
    """
    real = times.real
    if head == "last":
        places = torch.arange(x.shape[1], device=x.device)
        weights = (places == times.lengths.unsqueeze(1) - 1).to(x.dtype)
    elif head == "attnpool":
        assert scores is not None
        weights = (
            torch.nan_to_num(torch.softmax(scores.masked_fill(~real, -torch.inf), dim=1)) if x.shape[1] else scores
        )
    else:
        weights = (real * (times.pool_dt + TIME_EPSILON) if head == "timepool" else real).to(x.dtype)
        weights = weights / weights.sum(1, keepdim=True).clamp(min=TIME_EPSILON)
    return torch.einsum("bn,bnh->bh", weights, x)
