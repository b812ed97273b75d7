"""Bounds of intermediates: what fits 32-bit and 64-bit registers, and float64 exactly.

Every intermediate, its rounding term included, is bounded over the actual weights and the widths of the operands.
Below 2**30 a kernel may keep it in int32, below 2**52 in int64; float64 then represents every value exactly, which
is what lets the fake-quantized model be compared bit for bit. Anything larger is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .errors import ProgramError

I32_LIMIT = 1 << 30
I64_LIMIT = 1 << 52


def register(bound: int) -> str:
    """``"i32"`` or ``"i64"``: the register that an intermediate of this bound needs."""
    return "i32" if bound < I32_LIMIT else "i64"


def check_bounds(name: str, bounds: Mapping[str, int]) -> None:
    """Refuse a node with an intermediate of 2**52 or more.

    Raises:
        ProgramError: names the node, the intermediate and its size in bits.
    """
    for what, bound in bounds.items():
        if bound >= I64_LIMIT:
            raise ProgramError(
                f"node {name}: {what} can reach {bound.bit_length()} bits, the limit is 52; "
                "narrow the weights, the operands or the state of this layer"
            )


def rounding_term(shift: np.ndarray | int) -> int:
    """The largest half unit that a right shift by ``shift`` adds."""
    largest = int(np.max(shift, initial=0))
    return 1 << (largest - 1) if largest > 0 else 0


def dot_bound(weight: np.ndarray, magnitude: int) -> np.ndarray:
    """Bound of ``|W x|`` per row for ``|x| <= magnitude``. Shapes: (out, in) or diagonal (out,) -> (out,) objects.

    Python integers, so that the bound itself cannot overflow.
    """
    weight = np.abs(np.asarray(weight).astype(np.int64))
    rows = weight if weight.ndim == 1 else weight.sum(axis=1)
    return rows.astype(object) * int(magnitude)
