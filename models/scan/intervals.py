"""Distinct time differences: a decay is computed once for each of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Intervals:
    """Time differences as a table and an index into it.

    Attributes:
        values: (U,) the distinct differences, ms.
        index: (B, L) int64, so that ``values[index]`` are the differences.
    """

    values: Tensor
    index: Tensor

    @staticmethod
    def of(dt: Tensor) -> Intervals:
        """Tabulate ``dt`` (B, L); times carry no gradient."""
        return Intervals(*torch.unique(dt.detach(), return_inverse=True))
