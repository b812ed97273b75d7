"""Compiled sequential kernels of the plain diagonal scan, parallel over the batch.

Complex arrays come as views of their real numbers, (B, L, 2P), real and imaginary parts interleaved.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from .threads import compile_kernel, run_tasks


@compile_kernel
def _forward(decay, drive, initial, states, start, stop):
    length, width = drive.shape[1:]
    for b in range(start, stop):
        x = initial[b].copy()
        for k in range(length):
            a, v, out = decay[b, k], drive[b, k], states[b, k]
            for p in range(width // 2):
                re, im = 2 * p, 2 * p + 1
                x_re, x_im = x[re], x[im]
                x[re] = a[re] * x_re - a[im] * x_im + v[re]
                x[im] = a[re] * x_im + a[im] * x_re + v[im]
            out[:] = x


@compile_kernel
def _backward(decay, initial, states, grad_states, grad_decay, grad_drive, grad_initial, start, stop):
    length, width = states.shape[1:]
    for b in range(start, stop):
        g = grad_initial[b]
        g[:] = 0
        for k in range(length - 1, -1, -1):
            previous = states[b, k - 1] if k > 0 else initial[b]
            a, g_out, g_a, g_v = decay[b, k], grad_states[b, k], grad_decay[b, k], grad_drive[b, k]
            for p in range(width // 2):
                re, im = 2 * p, 2 * p + 1
                g_re, g_im = g[re] + g_out[re], g[im] + g_out[im]
                g_v[re], g_v[im] = g_re, g_im
                g_a[re] = g_re * previous[re] + g_im * previous[im]
                g_a[im] = g_im * previous[re] - g_re * previous[im]
                g[re] = a[re] * g_re + a[im] * g_im
                g[im] = a[re] * g_im - a[im] * g_re


class _DiagonalScan(Function):
    """x_k = A_k x_{k-1} + b_k; backward: gb_k = g_k + conj(A_{k+1}) gb_{k+1}, gA_k = gb_k conj(x_{k-1})."""

    @staticmethod
    def forward(ctx: FunctionCtx, decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
        decay, drive, initial = decay.contiguous(), drive.contiguous(), initial.contiguous()
        states = torch.empty_like(drive)
        arrays = [_real_view(tensor) for tensor in (decay, drive, initial, states)]
        run_tasks(_forward, len(drive), drive.numel(), *arrays)
        ctx.save_for_backward(decay, initial, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, initial, states = ctx.saved_tensors
        grads = torch.empty_like(decay), torch.empty_like(decay), torch.empty_like(initial)
        arrays = [_real_view(tensor) for tensor in (decay, initial, states, grad_states.contiguous(), *grads)]
        run_tasks(_backward, len(decay), decay.numel(), *arrays)
        return grads


def scan_numba(decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
    """Run ``x_k = decay_k * x_{k-1} + drive_k`` by a compiled loop; complex tensors on the CPU.

    Args and returns as `scan_reference`.
    """
    return _DiagonalScan.apply(decay, drive, initial)


def _real_view(tensor: Tensor):
    """The numbers of a contiguous complex tensor as a numpy array with twice the last axis."""
    return torch.view_as_real(tensor.detach().resolve_conj()).flatten(-2).numpy()
