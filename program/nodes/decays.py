"""What nodes with complex modes share: one decay step ``x <- sat(x + rhu(d x))``, d at an exponent of its own."""

from __future__ import annotations

import numpy as np

from ..bounds import magnitudes


def step_loss(re: np.ndarray, im: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """``1 - |1 + d|``, float64 of the codes' shape, without cancellation."""
    real, imaginary = (np.ldexp(codes.astype(np.float64), -exponent.astype(np.int64)) for codes in (re, im))
    squared = -(2 * real + real**2 + imaginary**2)  # 1 - |1 + d|^2
    return squared / (1 + np.sqrt(np.maximum(1 - squared, 0)))


def growing(re: np.ndarray, im: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Where ``|1 + d| > 1``, exactly; bool of the codes' shape."""
    one = 1 << exponent.astype(object)
    return ((one + re.astype(object)) ** 2 + im.astype(object) ** 2 > one * one).astype(bool)


def step_bound(re: np.ndarray, im: np.ndarray, exponent: np.ndarray, state: int) -> int:
    """Bound of ``d x`` and its rounding term where both components of x stay within ``state``."""
    return int(np.max((magnitudes(re) + magnitudes(im)) * state + (1 << exponent.astype(object)) // 2))
