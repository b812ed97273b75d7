"""Compiled kernel of the quantized recurrence, in parallel over the batch.

States, drives and gradients are planar rows, ``[:P]`` real, ``[P:]`` imaginary, so that the loops over modes
vectorise. Scratch rows are float64, in which every product and sum of codes is exact. The backward pass computes the
steps inside a window, and inside an event, anew from the stored states; nothing but the states is kept for it.

With g the gradient of a store's result, m its mask (1 where nothing clipped) and a = 1 + d:

    y = sat(x + rhu(d x)):    grad rate += 2**j (m g) conj(a x);    grad x = conj(a) (m g)
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from ...models.scan.threads import compile_kernel, run_tasks


@compile_kernel
def _round(v):
    """``floor(v + 1/2)`` without the rounding of the sum."""
    return math.ceil(math.floor(2 * v) * 0.5)


@compile_kernel
def _store(x, v, sign, low, high, out):
    """out = sat(x + sign rhu(v)); returns how many components clipped."""
    lost = 0
    for i in range(x.shape[0]):
        y = x[i] + sign * _round(np.float64(v[i]))
        z = min(max(y, low), high)
        lost += y != z
        out[i] = z
    return lost


@compile_kernel
def _decay(x, d, low, high, out):
    """out = sat(x + rhu(d x)); returns how many components clipped."""
    modes = x.shape[0] // 2
    lost = 0
    for p in range(modes):
        q = modes + p
        x_re, x_im = x[p], x[q]
        y_re = x_re + math.floor(d[p] * x_re - d[q] * x_im + 0.5)
        y_im = x_im + math.floor(d[p] * x_im + d[q] * x_re + 0.5)
        z_re = min(max(y_re, low), high)
        z_im = min(max(y_im, low), high)
        lost += (y_re != z_re) + (y_im != z_im)
        out[p] = z_re
        out[q] = z_im
    return lost


@compile_kernel
def _advance(x, gap, v, complement, low, high, hold):
    """One event, in place; returns how many stores clipped."""
    if hold:
        if gap == 0:
            return 0
        lost = _store(x, v, 1.0, low, high, x)
    else:
        lost = 0
    digit = 0
    while gap:
        if gap & 1:
            lost += _decay(x, complement[digit], low, high, x)
        gap >>= 1
        digit += 1
    return lost + _store(x, v, -1.0 if hold else 1.0, low, high, x)


@compile_kernel
def _forward(drive, gaps, complement, initial, low, high, hold, stride, states, saturations, start, stop):
    x = np.empty(drive.shape[2], np.float64)
    for b in range(start, stop):
        x[:] = initial[b]
        lost = 0
        for k in range(drive.shape[1]):
            lost += _advance(x, gaps[b, k], drive[b, k], complement, low, high, hold)
            if k % stride == 0 and k // stride < states.shape[1]:
                states[b, k // stride] = x
        saturations[b] = lost


@compile_kernel
def _mask(x, v, sign, low, high, g):
    """g = 0 where sat(x + sign rhu(v)) clips."""
    for i in range(x.shape[0]):
        y = x[i] + sign * _round(np.float64(v[i]))
        g[i] = g[i] if low <= y <= high else 0.0


@compile_kernel
def _undo_decay(x, d, ticks, low, high, g, grad_rate):
    """The backward pass of `_decay`, g in place."""
    modes = x.shape[0] // 2
    for p in range(modes):
        q = modes + p
        x_re, x_im = x[p], x[q]
        dx_re = d[p] * x_re - d[q] * x_im
        dx_im = d[p] * x_im + d[q] * x_re
        y_re = x_re + math.floor(dx_re + 0.5)
        y_im = x_im + math.floor(dx_im + 0.5)
        g_re = g[p] if low <= y_re <= high else 0.0
        g_im = g[q] if low <= y_im <= high else 0.0
        ax_re, ax_im = x_re + dx_re, x_im + dx_im
        grad_rate[p] += ticks * (g_re * ax_re + g_im * ax_im)
        grad_rate[q] += ticks * (g_im * ax_re - g_re * ax_im)
        g[p] = g_re + d[p] * g_re + d[q] * g_im
        g[q] = g_im + d[p] * g_im - d[q] * g_re


@compile_kernel
def _retreat(x, gap, v, complement, low, high, hold, trace, g, grad_v, grad_rate):
    """Undo one event that started at state x: g in place, grad_v set. ``trace`` (J + 1, 2P) is scratch space."""
    if hold and gap == 0:
        grad_v[:] = 0
        return
    if gap == 0:
        _mask(x, v, 1.0, low, high, g)
        grad_v[:] = g
        return
    if hold:
        _store(x, v, 1.0, low, high, trace[0])
    else:
        trace[0] = x
    steps = 0
    for digit in range(complement.shape[0]):
        if gap >> digit & 1:
            _decay(trace[steps], complement[digit], low, high, trace[steps + 1])
            steps += 1
    _mask(trace[steps], v, -1.0 if hold else 1.0, low, high, g)
    for i in range(g.shape[0]):
        grad_v[i] = -g[i] if hold else g[i]
    for digit in range(complement.shape[0] - 1, -1, -1):
        if gap >> digit & 1:
            steps -= 1
            _undo_decay(trace[steps], complement[digit], float(1 << digit), low, high, g, grad_rate)
    if hold:
        _mask(x, v, 1.0, low, high, g)
        for i in range(g.shape[0]):
            grad_v[i] += g[i]


@compile_kernel
def _backward(
    drive, gaps, complement, initial, low, high, hold, stride, states, grad_states, grad_drive, grad_rate,
    grad_initial, start, stop,
):  # fmt: skip
    width = drive.shape[2]
    g = np.empty(width, np.float64)
    x = np.empty(width, np.float64)
    trace = np.empty((complement.shape[0] + 1, width), np.float64)
    window = np.empty((stride, width), np.float64)
    for b in range(start, stop):
        g[:] = 0
        for i in range(states.shape[1] - 1, -1, -1):
            for c in range(width):
                g[c] += grad_states[b, i, c]
            first = (i - 1) * stride + 1 if i else 0
            last = i * stride
            window[0] = states[b, i - 1] if i else initial[b]
            for k in range(first, last):
                x[:] = window[k - first]
                _advance(x, gaps[b, k], drive[b, k], complement, low, high, hold)
                window[k - first + 1] = x
            for k in range(last, first - 1, -1):
                _retreat(
                    window[k - first], gaps[b, k], drive[b, k], complement, low, high, hold, trace, g,
                    grad_drive[b, k], grad_rate[b],
                )  # fmt: skip
        grad_initial[b] = g


class _QuantizedScan(Function):
    """See `quantized_scan` and the module's docstring."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        drive: Tensor,
        gaps: Tensor,
        complement: Tensor,
        rate: Tensor,
        initial: Tensor,
        limits: tuple[float, float],
        hold: bool,
        stride: int,
    ) -> tuple[Tensor, Tensor]:
        drive, gaps, initial = drive.contiguous(), gaps.contiguous(), initial.contiguous()
        states = drive.new_empty(drive.shape[0], drive.shape[1] // stride, drive.shape[2])
        saturations = torch.zeros(len(drive), dtype=torch.int64)
        run_tasks(
            _forward,
            len(drive),
            drive.numel(),
            *_arrays(drive, gaps, complement, initial),
            *limits,
            hold,
            stride,
            *_arrays(states, saturations),
        )
        ctx.save_for_backward(drive, gaps, complement, initial, states)
        ctx.settings = limits, hold, stride, rate.dtype
        ctx.mark_non_differentiable(saturations)
        return states, saturations

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_states: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        drive, gaps, complement, initial, states = ctx.saved_tensors
        limits, hold, stride, rate_dtype = ctx.settings
        # Events behind the last kept state have no gradient.
        reached = (states.shape[1] - 1) * stride + 1 if states.shape[1] else 0
        grad_drive = torch.empty_like(drive)
        grad_drive[:, reached:] = 0
        grad_rates = torch.zeros(len(drive), drive.shape[2], dtype=torch.float64)
        grad_initial = torch.empty_like(initial)
        run_tasks(
            _backward,
            len(drive),
            drive.numel(),
            *_arrays(drive, gaps, complement, initial),
            *limits,
            hold,
            stride,
            *_arrays(states, grad_states.contiguous(), grad_drive, grad_rates, grad_initial),
        )
        return grad_drive, None, None, grad_rates.sum(0).to(rate_dtype), grad_initial, None, None, None


def scan_numba(
    drive: Tensor,
    gaps: Tensor,
    complement: Tensor,
    rate: Tensor,
    initial: Tensor,
    limits: tuple[float, float],
    hold: bool,
    stride: int,
) -> tuple[Tensor, Tensor]:
    """The same as `scan_loop`, on the CPU."""
    return _QuantizedScan.apply(drive, gaps, complement, rate, initial, limits, hold, stride)


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]
