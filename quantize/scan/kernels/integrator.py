"""Compiled kernels of the quantized leaky integrators; see neurons.py.

g_o = m_o g_o;   grad drive = g_o;   grad decay += g_o o';   g_o' += decay g_o
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ....models.scan.kernels.threads import compile_kernel, run_tasks
from ....program.formats import Format
from .neurons import store_settings


@compile_kernel
def _forward(store, drive, decay, initial, out, clipped, start, stop):
    steps, width = drive.shape[1:]
    scale, unit, low, high, half = store[0], store[1], store[2], store[3], store[6]
    for b in range(start, stop):
        o = initial[b]
        for t in range(steps):
            for i in range(width):
                free = np.floor((decay[i] * o[i] + drive[b, t, i]) * scale + half)
                code = min(max(free, low), high)
                clipped[b] += code != free
                out[b, t, i] = code * unit
            o = out[b, t]


@compile_kernel
def _backward(store, decay, initial, out, grad_out, grad_drive, grad_decay, grad_initial, start, stop):
    steps, width = out.shape[1:]
    zero, lowest, highest = store[4], store[2] * store[1], store[3] * store[1]
    for b in range(start, stop):
        g = grad_initial[b]
        g[:] = 0
        for t in range(steps - 1, -1, -1):
            before = out[b, t - 1] if t > 0 else initial[b]
            for i in range(width):
                inside = lowest < out[b, t, i] < highest
                g_o = g[i] + grad_out[b, t, i] if inside else zero
                grad_drive[b, t, i] = g_o
                grad_decay[b, i] += g_o * before[i]
                g[i] = decay[i] * g_o


class _IntegratorScan(Function):
    """`integrator_numba`; see the module's docstring."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, decay: Tensor, initial: Tensor, output: Format) -> tuple[Tensor, ...]:
        out = torch.empty_like(drive, memory_format=torch.contiguous_format)
        clipped = torch.zeros(len(drive), dtype=torch.int64)
        store = store_settings(output, drive.dtype)
        run_tasks(_forward, len(drive), drive.numel(), store, drive, decay, initial, out, clipped)
        ctx.save_for_backward(store, decay, initial, out)
        ctx.mark_non_differentiable(clipped)
        return out, clipped

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        store, decay, initial, out = ctx.saved_tensors
        grad_drive, grad_initial = torch.empty_like(out), torch.empty_like(initial)
        grad_decay = torch.zeros_like(initial)
        run_tasks(
            _backward,
            len(out),
            out.numel(),
            store,
            decay,
            initial,
            out,
            grad_out,
            grad_drive,
            grad_decay,
            grad_initial,
        )
        return grad_drive, grad_decay.sum(0), grad_initial, None


def integrator_numba(drive: Tensor, decay: Tensor, initial: Tensor, output: Format) -> tuple[Tensor, Tensor]:
    """The same as `integrator_loop`, by compiled loops on the CPU."""
    return _IntegratorScan.apply(drive, decay, initial, output)
