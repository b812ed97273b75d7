"""`threshold_scan`: spiking neurons without recurrent weights over a whole sequence, one row a neuron."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ...errors import PumiceError
from .choice import choose
from .kernels.threshold import backward_numba, forward_numba

GRADIENTS = ("bptt", "sltt")


def triangle_slope(u: Tensor) -> Tensor:
    """The derivative put in place of that of ``[u >= 1]``: ``max(0, 1 - |u - 1|)``, any shape."""
    return (1 - (u - 1).abs()).clamp(min=0)


class _Reach(Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u >= 1).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return grad * triangle_slope(u)


def reach(u: Tensor) -> Tensor:
    """``[u >= 1]`` (reached counts) as 0 or 1 of u's shape and dtype, with `triangle_slope` as its derivative."""
    return _Reach.apply(u)


def threshold_step(x: Tensor, u: Tensor, tau: float, gradient: str = "bptt") -> tuple[Tensor, Tensor]:
    """One time step of neurons, any shape.

        u'_t = tau u_{t-1} + x_t;   z_t = [u'_t >= 1];   u_t = (1 - z_t) u'_t

    Args:
        x: the input, already divided by the threshold.
        u: the potential after the step before.
        tau: what is left of it.
        gradient: "bptt" (through the potential, not through the reset) or "sltt" (through neither).

    Returns:
        z and the potential after the step.
    """
    before = u.detach() if gradient == "sltt" else u
    pre = tau * before + x
    z = reach(pre)
    return z, (1 - z.detach()) * pre


def threshold_scan_torch(x: Tensor, tau: float, gradient: str) -> Tensor:
    """The same as `threshold_scan`, step by step, with autograd's own gradients."""
    u = torch.zeros_like(x[..., 0])
    spikes = []
    for x_t in x.unbind(-1):
        z, u = threshold_step(x_t, u, tau, gradient)
        spikes.append(z)
    return torch.stack(spikes, dim=-1) if spikes else x


class _ThresholdScan(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tau: float, gradient: str) -> Tensor:
        spikes, slope = forward_numba(x, tau)
        ctx.save_for_backward(*((spikes, slope) if gradient == "bptt" else (slope,)))
        ctx.tau = tau
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if len(ctx.saved_tensors) == 1:
            return grad * ctx.saved_tensors[0], None, None
        spikes, slope = ctx.saved_tensors
        return backward_numba(grad, spikes, slope, ctx.tau), None, None


def threshold_scan_numba(x: Tensor, tau: float, gradient: str) -> Tensor:
    """`threshold_scan` by compiled loops, on the CPU."""
    return _ThresholdScan.apply(x, tau, gradient)


IMPLEMENTATIONS: dict[str, Callable[[Tensor, float, str], Tensor]] = {
    "numba": threshold_scan_numba,
    "torch": threshold_scan_torch,
}


def threshold_scan(x: Tensor, tau: float, gradient: str = "bptt", *, implementation: str | None = None) -> Tensor:
    """Spikes of :func:`threshold_step` over a sequence, from potentials of 0.

    Args:
        x: (..., T), the input of each neuron at each step, divided by its threshold.
        tau: what is left of a potential after a step.
        gradient: see `threshold_step`.
        implementation: "numba" (compiled, on the CPU), "torch" (any device), or None for the faster one that fits.

    Returns:
        (..., T) of 0 and 1.

    Raises:
        PumiceError: an unknown gradient or implementation, or one that does not fit the tensors.
    """
    if gradient not in GRADIENTS:
        raise PumiceError(f"the gradient '{gradient}' of neurons is unknown; choose one of {', '.join(GRADIENTS)}")
    compiled = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    scan = choose(IMPLEMENTATIONS, implementation, compiled, "float32 or float64 on the CPU")
    return scan(x, tau, gradient)
