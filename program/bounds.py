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
_PIECE = 1 << 20


def register(bound: int) -> str:
    """``"i32"`` or ``"i64"``: the register that an intermediate of this bound needs."""
    return "i32" if bound < I32_LIMIT else "i64"


def register_bits(register: str) -> int:
    """32 or 64: bits of a register ``"i32"`` or ``"i64"``."""
    return {"i32": 32, "i64": 64}[register]


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
    columns = weight if weight.ndim == 2 else weight[:, None]
    step = max(1, _PIECE // max(len(columns), 1))
    sums = np.zeros(len(columns), dtype=object)
    for start in range(0, columns.shape[1], step):
        piece = columns[:, start : start + step]
        fits = largest(piece) < 1 << 31  # sums of these fit 64 bits, and are fast
        sums = sums + (np.abs(piece.astype(np.int64)) if fits else magnitudes(piece)).sum(axis=1).astype(object)
    return sums * int(magnitude)


def magnitudes(codes: np.ndarray) -> np.ndarray:
    """``|codes|`` as Python integers: in the array's own dtype ``|-2**63|`` would stay negative."""
    return np.abs(codes.astype(object))


def largest(codes: np.ndarray) -> int:
    """The largest ``|code|``, exactly; 0 of none."""
    return max(-int(codes.min()), int(codes.max()), 0) if codes.size else 0
