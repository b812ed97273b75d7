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
TABLES = 4
"""Into how many tables the gradients of tokens' drives are summed before the sum of all: as many threads at most."""


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
def _forward(drive, tokens, gaps, complement, initial, limits, hold, stride, states, saturations, start, stop):
    """``drive``: a row an event, (B, L, 2P), or (1, V, 2P), a row a token, where there are ``tokens``."""
    by_token = tokens.size > 0
    x = np.empty((2, drive.shape[2]), limits.dtype)
    trace = np.empty((complement.shape[0] + 2, drive.shape[2]), limits.dtype)
    for b in range(start, stop):
        x[1] = initial[b]
        lost = 0
        kept = 0
        for k in range(gaps.shape[1]):
            new, old = k % 2, 1 - k % 2
            v = drive[0, tokens[b, k]] if by_token else drive[b, k]
            lost += _advance(x[old], gaps[b, k], v, complement, limits, hold, trace, x[new])
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
    drive, tokens, gaps, complement, initial, limits, hold, stride, states, grad_states, grad_drive, grad_rate,
    grad_initial, start, stop,
):  # fmt: skip
    """A task is one table of ``grad_drive``: a sample's, or, with ``tokens``, that of some samples in turn."""
    by_token = tokens.size > 0
    width = drive.shape[2]
    g, back = np.empty(width, limits.dtype), np.empty(width, limits.dtype)
    trace = np.empty((complement.shape[0] + 2, width), limits.dtype)
    window = np.empty((stride, width), limits.dtype)
    samples, groups = gaps.shape[0], grad_drive.shape[0]
    for b in range(start * samples // groups, stop * samples // groups):
        group = ((b + 1) * groups - 1) // samples
        g[:] = 0
        for i in range(states.shape[1] - 1, -1, -1):
            for c in range(width):
                g[c] += grad_states[b, i, c]
            first = (i - 1) * stride + 1 if i else 0
            last = i * stride
            window[0] = states[b, i - 1] if i else initial[b]
            for k in range(first, last):
                v = drive[0, tokens[b, k]] if by_token else drive[b, k]
                _advance(window[k - first], gaps[b, k], v, complement, limits, hold, trace, window[k - first + 1])
            for k in range(last, first - 1, -1):
                v = drive[0, tokens[b, k]] if by_token else drive[b, k]
                grad_v = back if by_token else grad_drive[b, k]
                _retreat(window[k - first], gaps[b, k], v, complement, limits, hold, trace, g, grad_v, grad_rate[b])
                if by_token:
                    _add(back, grad_drive[group, tokens[b, k]])
        grad_initial[b] = g


@compile_kernel
def _add(row, total):
    for c in range(len(row)):
        total[c] += row[c]


class _QuantizedScan(Function):
    """See `quantized_scan` and the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        tokens: Tensor | None,
        gaps: Tensor,
        complement: Tensor,
        rate: Tensor,
        initial: Tensor,
        limits: tuple[float, float],
        hold: bool,
        stride: int,
    ) -> tuple[Tensor, Tensor]:
        rows = drive.contiguous() if tokens is None else drive.contiguous().unsqueeze(0)
        picked = gaps.new_empty(0, 0) if tokens is None else tokens.contiguous()
        gaps, initial = gaps.contiguous(), initial.contiguous()
        typed = _typed_limits(*limits, drive.dtype)
        batch, length = gaps.shape
        states = drive.new_empty(batch, length // stride, drive.shape[-1])
        saturations = torch.zeros(batch, dtype=torch.int64)
        work = gaps.numel() * drive.shape[-1]
        run_tasks(
            _forward, batch, work, rows, picked, gaps, complement, initial, typed, hold, stride, states, saturations
        )
        ctx.save_for_backward(rows, picked, gaps, complement, initial, states)
        ctx.settings = typed, hold, stride, rate.dtype, drive.shape
        ctx.mark_non_differentiable(saturations)
        return states, saturations

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        rows, picked, gaps, complement, initial, states = ctx.saved_tensors
        limits, hold, stride, rate_dtype, shape = ctx.settings
        batch = len(gaps)
        if picked.numel():
            # As many tables as may be filled at a time; no more memory than a row an event would take.
            groups = max(1, min(TABLES, batch, gaps.numel() // rows.shape[1]))
            grad_drive = rows.new_zeros(groups, *rows.shape[1:])
        else:
            # Events behind the last kept state have no gradient.
            reached = (states.shape[1] - 1) * stride + 1 if states.shape[1] else 0
            grad_drive = torch.empty_like(rows)
            grad_drive[:, reached:] = 0
        grad_rates = torch.zeros(batch, rows.shape[2], dtype=torch.float64)
        grad_initial = torch.empty_like(initial)
        run_tasks(
            _backward,
            len(grad_drive),
            gaps.numel() * rows.shape[2],
            rows,
            picked,
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
        grad = grad_drive.sum(0) if picked.numel() else grad_drive
        return grad.reshape(shape), None, None, None, grad_rates.sum(0).to(rate_dtype), grad_initial, None, None, None


def scan_numba(
    drive: Tensor,
    tokens: Tensor | None,
    gaps: Tensor,
    complement: Tensor,
    rate: Tensor,
    initial: Tensor,
    limits: tuple[float, float],
    hold: bool,
    stride: int,
) -> tuple[Tensor, Tensor]:
    """The same as `scan_loop`, on the CPU."""
    return _QuantizedScan.apply(drive, tokens, gaps, complement, rate, initial, limits, hold, stride)


def _typed_limits(low: float, high: float, dtype: torch.dtype) -> np.ndarray:
    """Lowest code, highest code and one half, in the precision that states and gradients are kept in.

    Up to 24 bits a state and its sums are exact in float32: what exceeds 2**24 is beyond the limits anyway.
    """
    single = dtype == torch.float32 and max(-low, high) <= FLOAT32_STATE
    return np.array([low, high, 0.5], dtype=np.float32 if single else np.float64)
