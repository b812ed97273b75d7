"""Time differences and where they occur: on the CPU a decay is computed once for each that is distinct."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Intervals:
    """Time differences as a table and an index into it.

    Attributes:
        values: (U,) the differences, ms, on the CPU distinct.
        index: (B, L) int64, so that ``values[index]`` are the differences.
    """

    values: Tensor
    index: Tensor

    @staticmethod
    def of(dt: Tensor) -> Intervals:
        """Tabulate ``dt`` (B, L); times carry no gradient. On a GPU equal ones are not sought: how many there are would
        have to be waited for.
        """
        if dt.device.type == "cpu":
            return Intervals(*torch.unique(dt.detach(), return_inverse=True))
        return Intervals(dt.detach().flatten(), torch.arange(dt.numel(), device=dt.device).view_as(dt))
