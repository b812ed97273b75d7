"""Rounding half up and power-of-two fake quantization, exact in float32 and float64.

`floor(x + 1/2)` itself is not exact in floating point: the float32 number just below one half becomes 1. The same
function written as `ceil(floor(2 x) / 2)` is, so float32 and float64 give the same code for the same float32 number.
"""

from __future__ import annotations

from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .kernels.elementwise import fits, quantize_elements

_FLOAT64_BIAS = 1023
_FLOAT64_MANTISSA = 52


@overload
def pow2(exponent: int, like: Tensor) -> float: ...


@overload
def pow2(exponent: Tensor, like: Tensor) -> Tensor: ...


def pow2(exponent: Tensor | int, like: Tensor) -> Tensor | float:
    """``2**exponent``, exact: built from the bits, because vectorised ``pow`` may be off by an ulp.

    Args:
        exponent: integers in -126 .. 127.
        like: gives dtype and device.

    Returns:
        A Python float for an int, else a tensor of the exponents' shape.
    """
    if isinstance(exponent, int):
        return 2.0**exponent
    bits = (exponent.to(torch.int64) + _FLOAT64_BIAS) << _FLOAT64_MANTISSA
    return bits.view(torch.float64).to(dtype=like.dtype, device=like.device)


def code_range(width: int, signed: bool = True, narrow: bool = False) -> tuple[int, int]:
    """Lowest and highest code of ``width`` bits; ``narrow`` drops the lowest one, so that the range is symmetric."""
    if not signed:
        return 0, (1 << width) - 1
    high = (1 << (width - 1)) - 1
    return (-high if narrow else -high - 1), high


def _floor_half_up(x: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """``floor(x scale + 1/2)`` for powers of two."""
    return (x * (2 * scale)).floor_().mul_(0.5).ceil_()


class _RoundHalfUp(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _floor_half_up(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def round_half_up(x: Tensor) -> Tensor:
    """``floor(x + 1/2)`` with a straight-through gradient of 1; any shape."""
    return _RoundHalfUp.apply(x)


class RoundHalfUp(nn.Module):
    """`round_half_up` as brevitas' ``float_to_int_impl``.

    Brevitas knows rounding modes by enumeration and has none for this one: its ``rounding_mode`` still says ROUND.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Round, any shape."""
        return round_half_up(x)


class _Pow2Quantize(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor | float, unit: Tensor | float, low: int, high: int, straight: bool
    ) -> Tensor:
        if isinstance(scale, float) and fits(x):
            values, inside = quantize_elements(x, scale, low, high)
        else:
            free = _floor_half_up(x, scale)
            codes = free.clamp(low, high)
            inside = codes == free
            values = codes.mul_(unit)
        ctx.straight = straight
        if ctx.needs_input_grad[0] and not straight:
            ctx.save_for_backward(inside)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_x = grad if ctx.straight else torch.where(ctx.saved_tensors[0], grad, 0.0)
        return grad_x, None, None, None, None, None


def pow2_quantize(
    x: Tensor,
    frac: Tensor | int,
    width: int,
    signed: bool = True,
    narrow: bool = False,
    straight: bool = False,
) -> Tensor:
    """Fake quantization in the value domain, ``clip(floor(x 2**frac + 1/2)) 2**-frac``.

    The gradient is 1 where the code lies in the range and 0 where it was clipped, or with ``straight`` 1 there as well.
    Codes of up to 25 bits are exact in float32, of up to 53 in float64.

    Args:
        x: float tensor of any shape.
        frac: fractional bits, an int or an integer tensor that broadcasts to x.
        width: bits of the code.
        signed: two's complement, or 0 .. 2**width - 1.
        narrow: symmetric range.
        straight: whether clipped entries have a gradient.
    """
    low, high = code_range(width, signed, narrow)
    return _Pow2Quantize.apply(x, pow2(frac, x), pow2(-frac, x), low, high, straight)


def pow2_codes(x: Tensor, frac: Tensor | int, width: int, signed: bool = True, narrow: bool = False) -> Tensor:
    """The integer codes behind `pow2_quantize`, int64, computed in float64; arguments as there."""
    low, high = code_range(width, signed, narrow)
    wide = x.detach().double()
    return _floor_half_up(wide, pow2(frac, wide)).clamp_(low, high).to(torch.int64)
