"""The signal-to-quantization-noise ratio."""

from __future__ import annotations

import math

import numpy as np


def sqnr_db(signal: float, noise: float) -> float | None:
    """``10 log10(signal / noise)`` of two powers, to a hundredth; None where there is no noise or no signal."""
    return round(10 * math.log10(signal / noise), 2) if signal > 0 and noise > 0 else None


def sqnr_of(found: np.ndarray, expected: np.ndarray) -> float | None:
    """The ratio of float64 values, over all entries together: ``sum expected^2`` to ``sum (found - expected)^2``."""
    return sqnr_db(float((expected**2).sum()), float(((found - expected) ** 2).sum()))
