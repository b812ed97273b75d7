"""Exponents of a layer's weights: one a row, from the folded weights and the formats around them."""

from __future__ import annotations

from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import PumiceError
from ..program.formats import MAX_FRAC, Format
from .codes import SPARE_BITS, Floats, Fracs
from .rounding import code_range, pow2, pow2_codes


def row_fracs(weight: Floats, width: int, method: str, limit: Fracs | int) -> Fracs:
    """Fractional bits of each row's codes, at most ``limit``. Shapes: ``weight`` (rows, ...) -> (rows,)."""
    return np.minimum(weight_frac(weight, width, method).numpy(), np.asarray(limit, dtype=np.int64))


@overload
def useful_frac(operand: Format, output: Format) -> int: ...


@overload
def useful_frac(operand: Format, output: Fracs) -> Fracs: ...


def useful_frac(operand: Format, output: Format | Fracs) -> int | Fracs:
    """The most fractional bits of a weight whose rounding can still matter in the output."""
    frac = output.frac if isinstance(output, Format) else output
    return frac + SPARE_BITS + operand.width - 1 - operand.frac


def table_frac(weight: NDArray[np.float64], width: int, method: str, limit: int) -> int:
    """One exponent for all of ``weight``."""
    return int(row_fracs(weight.reshape(1, -1), width, method, limit)[0])


METHODS = ("max", "mse")

FINER_EXPONENTS = 4  # how far "mse" searches beyond the exponent that clips nothing


def power_of_two_frac(values: Tensor, width: int, signed: bool, narrow: bool, method: str = "max") -> Tensor:
    """The fractional bits with which each row of ``values`` is quantized; in float64, whatever the input's precision.

    "max" takes the most bits with which no rounded value is clipped. "mse" takes the bits of least squared error among
    these and a few more, which clip. A row of zeros has as many bits as values up to 1 would.

    Args:
        values: (rows, n) float tensor.
        width: bits of a code.
        signed: whether codes are signed; negative values are ignored where not.
        narrow: symmetric range.
        method: "max" or "mse".

    Returns:
        (rows,) int64, in -60 .. 60.

    Raises:
        PumiceError: values that are not finite, or an unknown method.
    """
    if method not in METHODS:
        raise PumiceError(f"scale method '{method}' is unknown; choose one of {', '.join(METHODS)}")
    values = values.detach().double()
    if not torch.isfinite(values).all():
        raise PumiceError("a tensor to quantize holds NaN or infinity; train again from the last sound checkpoint")
    _, high = code_range(width, signed, narrow)
    used = values.abs() if signed else values.clamp(min=0)
    largest = used.amax(dim=1) if used.shape[1] else used.new_zeros(len(used))
    # largest = mantissa 2**exponent with a mantissa in [1/2, 1): no logarithm, nothing rounded.
    _, exponent = torch.frexp(largest)
    frac = high.bit_length() - exponent.long()
    frac = frac - (largest * pow2(frac.clamp(-MAX_FRAC, MAX_FRAC), largest) >= high + 0.5).long()
    frac = torch.where(largest > 0, frac, high.bit_length()).clamp(-MAX_FRAC, MAX_FRAC)
    if method == "max":
        return frac
    best, least = frac, torch.full_like(largest, torch.inf)
    for finer in range(FINER_EXPONENTS + 1):
        candidate = (frac + finer).clamp(max=MAX_FRAC)
        codes = pow2_codes(values, candidate.unsqueeze(1), width, signed, narrow)
        error = (codes * pow2(-candidate, values).unsqueeze(1) - values).square().sum(dim=1)
        best, least = torch.where(error < least, candidate, best), torch.minimum(error, least)
    return best


def weight_frac(weight: Tensor | np.ndarray, width: int, method: str = "max", per_row: bool = True) -> Tensor:
    """Fractional bits of narrow-range weights.

    Shapes: ``weight`` (rows, ...) -> (rows,) int64; () with ``per_row=False``. See `power_of_two_frac`.
    """
    weight = torch.as_tensor(weight)
    rows = weight.reshape(len(weight) if per_row else 1, -1)
    frac = power_of_two_frac(rows, width, signed=True, narrow=True, method=method)
    return frac if per_row else frac[0]
