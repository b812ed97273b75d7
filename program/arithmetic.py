"""The integer operations of a program in plain numpy int64: the arithmetic that every backend must reproduce.

All functions but ``round_half_up_real`` take and return int64 arrays (or Python ints) and assume what the bounds
guarantee: no intermediate reaches 2**52 (``bounds.py``), so nothing overflows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .formats import Format


def round_half_up_shift(value: ArrayLike, shift: ArrayLike) -> np.ndarray:
    """``floor(value / 2**shift + 1/2)``; a shift of 0 is the identity, a negative one an exact left shift.

    Shapes: ``shift`` broadcasts against ``value``. Rounding half up commutes with adding whole output units.
    """
    value = np.asarray(value, dtype=np.int64)
    shift = np.asarray(shift, dtype=np.int64)
    right = np.maximum(shift, 0)
    half = np.where(right > 0, np.left_shift(np.int64(1), np.maximum(right - 1, 0)), 0)
    rounded = np.right_shift(value + half, right)
    return np.where(shift < 0, np.left_shift(value, np.maximum(-shift, 0)), rounded)


def round_half_up_real(value: np.ndarray) -> np.ndarray:
    """``floor(value + 1/2)`` of float64 values, as floats: the sum itself would round, just below one half up to 1."""
    return np.ceil(np.floor(2 * value) / 2)


def saturate(value: np.ndarray, format: Format) -> tuple[np.ndarray, np.ndarray]:
    """Clip to the range of ``format``; also return where it clipped (bool, same shape)."""
    clipped = np.clip(value, format.min, format.max)
    return clipped, clipped != value


def rounded_divide(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """``floor((2 p + q) / (2 q))``: the quotient rounded half up; ``q`` is clamped to at least 1."""
    denominator = np.maximum(np.asarray(denominator, dtype=np.int64), 1)
    return np.floor_divide(2 * np.asarray(numerator, dtype=np.int64) + denominator, 2 * denominator)


def integer_sqrt(value: ArrayLike) -> np.ndarray:
    """``floor(sqrt(value))`` for 0 <= value < 2**52, exact: float64 square roots are correctly rounded, and the
    two corrections guard the neighbours of a perfect square.
    """
    value = np.asarray(value, dtype=np.int64)
    root = np.floor(np.sqrt(value.astype(np.float64))).astype(np.int64)
    root = np.where(root * root > value, root - 1, root)
    return np.where((root + 1) * (root + 1) <= value, root + 1, root)
