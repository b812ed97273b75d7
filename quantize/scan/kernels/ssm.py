"""Compiled kernel of the quantized recurrence, in parallel over the batch.

States, drives and gradients are planar rows, ``[:P]`` real, ``[P:]`` imaginary, so that the loops over modes
vectorise. Decay steps are taken in float64, in which every product of codes is exact. The backward pass computes the
steps inside a window, and inside an event, anew from the stored states; nothing but the states is kept for it.

With g the gradient of a store's result, m its mask (1 where nothing clipped) and a = 1 + d:

    y = sat(x + rhu(d x)):    grad rate += 2**j (m g) conj(a x);    grad x = conj(a) (m g)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ....models.scan.kernels.threads import compile_kernel, run_tasks

FLOAT32_STATE = 1 << 23


@compile_kernel
def _drive(v, half):
    """``floor(v + 1/2)`` without the rounding of the sum; typed constants keep float32 in float32."""
    return np.ceil(np.floor(v + v) * half)


@compile_kernel
def _saturate(y, low, high):
    return low if y < low else (high if y > high else y)


@compile_kernel
def _store(x, v, minus, limits, out):
    """out = sat(x + rhu(v)), or sat(x - rhu(v)); returns how many components clipped."""
    low, high, half = limits[0], limits[1], limits[2]
    lost = 0
    for i in range(x.shape[0]):
        r = _drive(v[i], half)
        y = x[i] - r if minus else x[i] + r
        z = _saturate(y, low, high)
        lost += 1 if y != z else 0
        out[i] = z
    return lost


@compile_kernel
def _decay(x, d, limits, out):
    """out = sat(x + rhu(d x)), the products in float64; returns how many components clipped."""
    low, high = np.float64(limits[0]), np.float64(limits[1])
    modes = x.shape[0] // 2
    lost = 0
    for p in range(modes):
        q = modes + p
        x_re, x_im = np.float64(x[p]), np.float64(x[q])
        y_re = x_re + np.floor(d[p] * x_re - d[q] * x_im + 0.5)
        y_im = x_im + np.floor(d[p] * x_im + d[q] * x_re + 0.5)
        z_re = _saturate(y_re, low, high)
        z_im = _saturate(y_im, low, high)
        lost += (1 if y_re != z_re else 0) + (1 if y_im != z_im else 0)
        out[p] = z_re
        out[q] = z_im
    return lost


@compile_kernel
def _steps(x, gap, v, complement, limits, hold, trace):
    """All of an event with a gap but its last store; row i of ``trace`` (J + 2, 2P) receives the state after i steps.

    Returns the number of steps and how many stores clipped.
    """
    lost = 0
    steps = 0
    trace[0] = x
    if hold:
        lost += _store(trace[0], v, False, limits, trace[1])
        steps = 1
    for digit in range(complement.shape[0]):
        if gap >> digit & 1:
            lost += _decay(trace[steps], complement[digit], limits, trace[steps + 1])
            steps += 1
    return steps, lost


@compile_kernel
def _advance(x, gap, v, complement, limits, hold, trace, out):
    """One event from state x to state out, another array; returns how many stores clipped."""
    if gap == 0:
        if hold:
            out[:] = x
            return 0
        return _store(x, v, False, limits, out)
    steps, lost = _steps(x, gap, v, complement, limits, hold, trace)
    return lost + _store(trace[steps], v, hold, limits, out)


@compile_kernel
def _forward(drive, gaps, complement, initial, limits, hold, stride, states, saturations, start, stop):
    x = np.empty((2, drive.shape[2]), limits.dtype)
    trace = np.empty((complement.shape[0] + 2, drive.shape[2]), limits.dtype)
    for b in range(start, stop):
        x[1] = initial[b]
        lost = 0
        kept = 0
        for k in range(drive.shape[1]):
            new, old = k % 2, 1 - k % 2
            lost += _advance(x[old], gaps[b, k], drive[b, k], complement, limits, hold, trace, x[new])
            if k == kept * stride and kept < states.shape[1]:
                states[b, kept] = x[new]
                kept += 1
        saturations[b] = lost


@compile_kernel
def _undo_store(x, v, minus, limits, g, grad_v, add):
    """The backward pass of `_store`, g in place; the drive's gradient is added to grad_v, or set."""
    low, high, half = limits[0], limits[1], limits[2]
    for i in range(x.shape[0]):
        r = _drive(v[i], half)
        y = x[i] - r if minus else x[i] + r
        h = g[i] if low <= y <= high else low - low
        g[i] = h
        h = -h if minus else h
        grad_v[i] = grad_v[i] + h if add else h


@compile_kernel
def _undo_decay(x, d, ticks, limits, g, grad_rate):
    """The backward pass of `_decay`, g in place."""
    low, high = np.float64(limits[0]), np.float64(limits[1])
    modes = x.shape[0] // 2
    for p in range(modes):
        q = modes + p
        x_re, x_im = np.float64(x[p]), np.float64(x[q])
        dx_re = d[p] * x_re - d[q] * x_im
        dx_im = d[p] * x_im + d[q] * x_re
        y_re = x_re + np.floor(dx_re + 0.5)
        y_im = x_im + np.floor(dx_im + 0.5)
        g_re = g[p] if low <= y_re <= high else 0.0
        g_im = g[q] if low <= y_im <= high else 0.0
        ax_re, ax_im = x_re + dx_re, x_im + dx_im
        grad_rate[p] += ticks * (g_re * ax_re + g_im * ax_im)
        grad_rate[q] += ticks * (g_im * ax_re - g_re * ax_im)
        g[p] = g_re + d[p] * g_re + d[q] * g_im
        g[q] = g_im + d[p] * g_im - d[q] * g_re


@compile_kernel
def _retreat(x, gap, v, complement, limits, hold, trace, g, grad_v, grad_rate):
    """Undo one event that started at state x: g in place, grad_v set."""
    if gap == 0:
        if hold:
            grad_v[:] = 0
        else:
            _undo_store(x, v, False, limits, g, grad_v, False)
        return
    steps, _ = _steps(x, gap, v, complement, limits, hold, trace)
    _undo_store(trace[steps], v, hold, limits, g, grad_v, False)
    for digit in range(complement.shape[0] - 1, -1, -1):
        if gap >> digit & 1:
            steps -= 1
            _undo_decay(trace[steps], complement[digit], float(1 << digit), limits, g, grad_rate)
    if hold:
        _undo_store(trace[0], v, False, limits, g, grad_v, True)


@compile_kernel
def _backward(
    drive, gaps, complement, initial, limits, hold, stride, states, grad_states, grad_drive, grad_rate,
    grad_initial, start, stop,
):  # fmt: skip
    width = drive.shape[2]
    g = np.empty(width, limits.dtype)
    trace = np.empty((complement.shape[0] + 2, width), limits.dtype)
    window = np.empty((stride, width), limits.dtype)
    for b in range(start, stop):
        g[:] = 0
        for i in range(states.shape[1] - 1, -1, -1):
            for c in range(width):
                g[c] += grad_states[b, i, c]
            first = (i - 1) * stride + 1 if i else 0
            last = i * stride
            window[0] = states[b, i - 1] if i else initial[b]
            for k in range(first, last):
                _advance(
                    window[k - first], gaps[b, k], drive[b, k], complement, limits, hold, trace, window[k - first + 1]
                )
            for k in range(last, first - 1, -1):
                _retreat(
                    window[k - first], gaps[b, k], drive[b, k], complement, limits, hold, trace, g,
                    grad_drive[b, k], grad_rate[b],
                )  # fmt: skip
        grad_initial[b] = g


class _QuantizedScan(Function):
    """See `quantized_scan` and the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any,
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
        typed = _typed_limits(*limits, drive.dtype)
        states = drive.new_empty(drive.shape[0], drive.shape[1] // stride, drive.shape[2])
        saturations = torch.zeros(len(drive), dtype=torch.int64)
        run_tasks(
            _forward,
            len(drive),
            drive.numel(),
            drive,
            gaps,
            complement,
            initial,
            typed,
            hold,
            stride,
            states,
            saturations,
        )
        ctx.save_for_backward(drive, gaps, complement, initial, states)
        ctx.settings = typed, hold, stride, rate.dtype
        ctx.mark_non_differentiable(saturations)
        return states, saturations

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
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
            drive,
            gaps,
            complement,
            initial,
            limits,
            hold,
            stride,
            states,
            grad_states,
            grad_drive,
            grad_rates,
            grad_initial,
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


def _typed_limits(low: float, high: float, dtype: torch.dtype) -> np.ndarray:
    """Lowest code, highest code and one half, in the precision that states and gradients are kept in.

    Up to 24 bits a state and its sums are exact in float32: what exceeds 2**24 is beyond the limits anyway.
    """
    single = dtype == torch.float32 and max(-low, high) <= FLOAT32_STATE
    return np.array([low, high, 0.5], dtype=np.float32 if single else np.float64)
