"""The numbers of a program: exponents, codes, decays, tables. Plain numpy in float64, each computed once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..program.bounds import I32_LIMIT, I64_LIMIT
from ..program.formats import Format, smallest_dtype

MAX_DIGITS = 20

SPARE_BITS = 8  # below one output unit: finer weights than these cannot change a rounded sum

LARGEST_ROOT_SHIFT = 8

NARROW_STATE = 16  # up to this width a complex decay step stays in 32 bits

LARGEST_EXPONENT = 40

Floats = NDArray[np.float64]

Codes = NDArray[np.integer]


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
            exponent = np.where((bound >= I32_LIMIT) & (exponent > 1), exponent - 1, exponent)
    re = np.clip(rounded(np.ldexp(real, exponent)), -highest, highest).astype(np.int64)
    im = np.clip(rounded(np.ldexp(imaginary, exponent)), -highest, highest).astype(np.int64)
    one = np.int64(1) << exponent
    while (grows := (re << (exponent + 1)) + re * re + im * im > 0).any():
        upright = np.abs(im) > np.abs(one + re)
        im = np.where(grows & upright, im - np.sign(im), im)
        re = np.where(grows & ~upright, re - np.sign(one + re), re)
    return re.astype(np.int16), im.astype(np.int16), exponent.astype(np.int16)


def decay_magnitude(re: Codes, im: Codes, exponent: Codes) -> Floats:
    """``1 - |1 + d|`` of quantized complements, without cancellation; the shape of the codes."""
    d_re = np.ldexp(re.astype(np.float64), -exponent.astype(np.int64))
    d_im = np.ldexp(im.astype(np.float64), -exponent.astype(np.int64))
    lost = -(2 * d_re + d_re**2 + d_im**2)  # 1 - |a|^2
    return lost / (1 + np.sqrt(np.maximum(1 - lost, 0)))


def layer_norm_terms(size: int, input: Format, epsilon: float) -> tuple[int, int]:
    """``root_shift`` k and ``epsilon`` E of a LayerNorm node over ``size`` channels.

    k is the largest (up to 8) with which ``(V + E) 4**k`` stays below 2**52; E >= 1 is epsilon in units of V.
    """
    scaled = max(1, int(rounded(np.asarray(np.ldexp(epsilon * size**2, 2 * input.frac)))))
    largest = (size * input.magnitude) ** 2 + scaled
    shift = 0
    while shift < LARGEST_ROOT_SHIFT and largest << (2 * shift + 2) < I64_LIMIT:
        shift += 1
    return shift, scaled


def lookup_table(function: Callable[[Floats], Floats], input: Format, output: Format) -> Codes:
    """Codes of ``function`` over all codes of ``input``, (2**width,)."""
    values = function(np.ldexp(np.arange(input.min, input.max + 1, dtype=np.float64), -input.frac))
    codes = np.clip(rounded(np.ldexp(values, output.frac)), output.min, output.max)
    return codes.astype(smallest_dtype(output.width, output.signed))


def gelu(x: Floats) -> Floats:
    """GELU, tanh form."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x))."""
    return 0.5 * (1 + np.tanh(0.5 * x))


FUNCTIONS = {"gelu": gelu, "sigmoid": sigmoid}

Fracs = NDArray[np.int64]
