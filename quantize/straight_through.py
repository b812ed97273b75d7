"""Exact integers forward, the gradient of the real function backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ..errors import PumiceError
from ..program.formats import Format
from .rounding import pow2_quantize, round_half_up


def require_finite(inputs: Tensor) -> None:
    """Dense input of any shape has to be numbers.

    Raises:
        PumiceError: it holds NaN or infinity.
    """
    if not torch.isfinite(inputs).all():
        raise PumiceError("the dense input holds NaN or infinity; clean it first")


def quantize_input(inputs: Tensor, format: Format, dtype: torch.dtype) -> Tensor:
    """Dense input on the grid of ``format``, any shape; see `require_finite`."""
    require_finite(inputs)
    return pow2_quantize(inputs.to(dtype), format.frac, format.width, format.signed)


class _Replace(Function):
    @staticmethod
    def forward(ctx: Any, real: Tensor, exact: Tensor, inside: Tensor | None) -> Tensor:
        ctx.inside = inside
        return exact.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        if ctx.inside is not None:
            grad = grad * ctx.inside if ctx.inside.is_floating_point() else torch.where(ctx.inside, grad, 0.0)
        return grad, None, None


def replace(real: Tensor, exact: Tensor, inside: Tensor | None = None) -> Tensor:
    """``exact`` forward, the gradient of ``real`` backward, times ``inside``, bool or a float tensor."""
    return _Replace.apply(real, exact, inside)


def replace_by_codes(real: Tensor, codes: NDArray[np.integer], frac: int) -> Tensor:
    """The values of ``codes`` forward, the gradient of ``real`` backward; both of one shape."""
    return replace(real, torch.from_numpy(np.ldexp(codes.astype(np.float64), -frac)).to(real))


def quantize_bias(bias: Tensor, accumulator_frac: Tensor) -> Tensor:
    """Biases on the grid of their accumulator, straight-through."""
    scale = torch.exp2(accumulator_frac.double())
    return (round_half_up(bias.double() * scale) / scale).to(bias.dtype)


def codes(x: Tensor, format: Format) -> Tensor:
    """The int64 codes of values that lie on the grid of ``format``."""
    return torch.round(x.detach().double() * 2.0**format.frac).to(torch.int64)
