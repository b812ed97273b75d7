"""Decays of states in time: the digits of a gap, and the codes of their complements. Numpy in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..program.bounds import I32_LIMIT
from .codes import largest_frac, rounded

MAX_DIGITS = 20
NARROW_STATE = 16  # up to this width a complex decay step stays in 32 bits
LARGEST_EXPONENT = 40


def gap_digits(rate: NDArray[np.complex128], state_width: int) -> int:
    """Binary digits J of a gap: after ``2**J - 1`` ticks no decaying state holds more than one unit; at most 20.

    Shapes: ``rate`` (P,), Lambda * step * tick.
    """
    slowest = float(np.min(-rate.real))
    if slowest <= 0:
        return MAX_DIGITS
    ticks = (state_width - 1) * np.log(2.0) / slowest
    return int(np.clip(np.ceil(np.log2(ticks + 1)), 1, MAX_DIGITS))


def decay_table(
    rate: NDArray[np.complex128], digits: int, width: int, state_width: int
) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:
    """Codes of ``d_j = exp(rate 2**j) - 1``: real and imaginary parts, and their exponents, (J, P) each.

    The exponent is the largest with which both codes fit ``width`` bits and, for states of up to 16 bits, the
    complex product with a state stays below 2**30, the rounding term included. Where rounding made a mode grow, the
    larger part of ``1 + d`` is moved towards 0 until ``|1 + d| <= 1`` holds of the codes themselves.

    Shapes: ``rate`` (P,), Lambda * step * tick, real parts <= 0.
    """
    complement = np.expm1(rate * np.exp2(np.arange(digits))[:, None])
    real, imaginary = complement.real, complement.imag
    highest = (1 << (width - 1)) - 1
    magnitude = np.maximum(np.abs(real), np.abs(imaginary))
    exponent = np.clip(largest_frac(magnitude, highest, LARGEST_EXPONENT), 1, LARGEST_EXPONENT)
    if state_width <= NARROW_STATE:
        for _ in range(LARGEST_EXPONENT):
            codes = np.abs(rounded(np.ldexp(real, exponent))) + np.abs(rounded(np.ldexp(imaginary, exponent))) + 2
            bound = codes * 2.0 ** (state_width - 1) + np.exp2(exponent - 1.0)
            wide = (bound >= I32_LIMIT) & (exponent > 1)
            if not wide.any():
                break
            exponent = exponent - wide
    re = np.clip(rounded(np.ldexp(real, exponent)), -highest, highest).astype(np.int64)
    im = np.clip(rounded(np.ldexp(imaginary, exponent)), -highest, highest).astype(np.int64)
    one = np.int64(1) << exponent
    while (grows := (re << (exponent + 1)) + re * re + im * im > 0).any():
        upright = np.abs(im) > np.abs(one + re)
        im = np.where(grows & upright, im - np.sign(im), im)
        re = np.where(grows & ~upright, re - np.sign(one + re), re)
    return re.astype(np.int16), im.astype(np.int16), exponent.astype(np.int16)
