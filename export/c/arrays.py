"""Arrays of the generated code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .types import CType, of_range


@dataclass(frozen=True)
class Array:
    """An array: an expression for its first entry, the type and the number of its entries."""

    expression: str
    ctype: CType
    size: int

    def __str__(self) -> str:
        return self.expression


def of_codes(codes: np.ndarray) -> CType:
    """The narrowest signed type for these codes."""
    return of_range(int(codes.min(initial=0)), int(codes.max(initial=0)))
