"""Codes of weights and biases, and their exponents. Plain numpy in float64, each computed once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..program.bounds import I64_LIMIT
from ..program.formats import smallest_dtype

SPARE_BITS = 8  # below one output unit: finer weights than these cannot change a rounded sum

Floats = NDArray[np.float64]

Codes = NDArray[np.integer]

Fracs = NDArray[np.int64]


def rounded(values: Floats) -> Floats:
    """``floor(x + 1/2)`` without the rounding of the sum."""
    whole = np.floor(values)
    return whole + (values - whole >= 0.5)


def largest_frac(magnitude: Floats | float, highest: int, fallback: int = 0) -> NDArray[np.int64]:
    """The most fractional bits with which ``magnitude`` still rounds to a code of at most ``highest``.

    Shapes: any -> the same. Where the magnitude is 0 every exponent does, and ``fallback`` is taken.
    """
    magnitude = np.asarray(magnitude, dtype=np.float64)
    _, exponent = np.frexp(magnitude)
    frac = int(highest).bit_length() + 1 - exponent.astype(np.int64)
    for _ in range(2):
        frac = np.where(rounded(np.ldexp(magnitude, frac)) > highest, frac - 1, frac)
    return np.where(magnitude > 0, frac, fallback)


def weight_codes(weight: Floats, frac: NDArray[np.int64], width: int) -> Codes:
    """Narrow-range codes of ``weight`` (rows, ...) with one exponent a row."""
    highest = (1 << (width - 1)) - 1
    shaped = frac.reshape(-1, *(1,) * (weight.ndim - 1))
    return np.clip(rounded(np.ldexp(weight, shaped)), -highest, highest).astype(smallest_dtype(width))


def accumulator_codes(values: Floats, frac: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes of biases at the fractional bits of their accumulator, (rows,); the node checks their bound."""
    scaled = rounded(np.ldexp(values, frac))
    return np.clip(scaled, -float(I64_LIMIT), float(I64_LIMIT)).astype(np.int64)
