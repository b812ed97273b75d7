"""Compiled sequential kernels of the plain diagonal scan, parallel over the batch.

Complex arrays come as views of their real numbers, (B, L, 2P), real and imaginary parts interleaved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .threads import compile_kernel, run_tasks


@compile_kernel
def _forward(decay, drive, initial, states, start, stop):
    length, width = drive.shape[1:]
    x_re, x_im = np.empty(width // 2, states.dtype), np.empty(width // 2, states.dtype)
    for b in range(start, stop):
        x_re[:] = initial[b, 0::2]
        x_im[:] = initial[b, 1::2]
        for k in range(length):
            a, v, out = decay[b, k], drive[b, k], states[b, k]
            for p in range(width // 2):
                re, im = x_re[p], x_im[p]
                x_re[p] = a[2 * p] * re - a[2 * p + 1] * im + v[2 * p]
                x_im[p] = a[2 * p] * im + a[2 * p + 1] * re + v[2 * p + 1]
            for p in range(width // 2):
                out[2 * p] = x_re[p]
                out[2 * p + 1] = x_im[p]


@compile_kernel
def _backward(decay, initial, states, grad_states, grad_decay, grad_drive, grad_initial, start, stop):
    length, width = states.shape[1:]
    g_re, g_im = np.empty(width // 2, states.dtype), np.empty(width // 2, states.dtype)
    for b in range(start, stop):
        g_re[:] = 0
        g_im[:] = 0
        for k in range(length - 1, -1, -1):
            x = states[b, k - 1] if k > 0 else initial[b]
            a, g_out, g_a, g_v = decay[b, k], grad_states[b, k], grad_decay[b, k], grad_drive[b, k]
            for p in range(width // 2):
                g_re[p] += g_out[2 * p]
                g_im[p] += g_out[2 * p + 1]
            for p in range(width // 2):
                g_v[2 * p] = g_re[p]
                g_v[2 * p + 1] = g_im[p]
            for p in range(width // 2):
                g_a[2 * p] = g_re[p] * x[2 * p] + g_im[p] * x[2 * p + 1]
                g_a[2 * p + 1] = g_im[p] * x[2 * p] - g_re[p] * x[2 * p + 1]
            for p in range(width // 2):
                re, im = g_re[p], g_im[p]
                g_re[p] = a[2 * p] * re + a[2 * p + 1] * im
                g_im[p] = a[2 * p] * im - a[2 * p + 1] * re
        grad_initial[b, 0::2] = g_re
        grad_initial[b, 1::2] = g_im


class _DiagonalScan(Function):
    """x_k = A_k x_{k-1} + b_k; backward: gb_k = g_k + conj(A_{k+1}) gb_{k+1}, gA_k = gb_k conj(x_{k-1})."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
        decay, drive, initial = decay.contiguous(), drive.contiguous(), initial.contiguous()
        states = torch.empty_like(drive)
        run_tasks(_forward, len(drive), drive.numel(), *map(_real_view, (decay, drive, initial, states)))
        ctx.save_for_backward(decay, initial, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, initial, states = ctx.saved_tensors
        grads = torch.empty_like(decay), torch.empty_like(decay), torch.empty_like(initial)
        tensors = decay, initial, states, grad_states.contiguous(), *grads
        run_tasks(_backward, len(decay), decay.numel(), *map(_real_view, tensors))
        return grads


def scan_numba(decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
    """Run ``x_k = decay_k * x_{k-1} + drive_k`` by a compiled loop; complex tensors on the CPU.

    Args and returns as `scan_chunked`.
    """
    return _DiagonalScan.apply(decay, drive, initial)


def _real_view(tensor: Tensor) -> Tensor:
    """The numbers of a contiguous complex tensor, with twice the last axis."""
    return torch.view_as_real(tensor.detach().resolve_conj()).flatten(-2)
