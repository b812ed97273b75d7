"""Spikes with a surrogate gradient."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function


def surrogate_slope(u: Tensor, threshold: float | Tensor, slope: float, scale: float) -> Tensor:
    """The derivative put in place of that of the step function, any shape.

    ``scale * slope / 2 * exp(-slope * |u - threshold|)`` (Shrestha and Orchard 2018, SLAYER).
    """
    distance = u - threshold
    return distance.abs_().mul_(-slope).exp_().mul_(scale * slope / 2)


class _Spike(Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, threshold: float | Tensor, slope: float, scale: float) -> Tensor:
        ctx.save_for_backward(u)
        ctx.settings = threshold, slope, scale
        return (u > threshold).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = ctx.saved_tensors
        return grad * surrogate_slope(u, *ctx.settings), None, None, None


def spike(u: Tensor, threshold: float | Tensor, slope: float, scale: float) -> Tensor:
    """``[u > threshold]`` (strict) as 0 or 1 of u's shape and dtype, with :func:`surrogate_slope` as its derivative."""
    return _Spike.apply(u, threshold, slope, scale)
