"""Compiled kernels of `event_scan`: decays by table, drive by token or dense, states kept at the stride.

Everything is planar: row ``[:P]`` real, ``[P:]`` imaginary, so that the inner loops over modes vectorise.
Backward, with a = 1 + d, xi = x_{k-1} + (drive_k if hold) and g the gradient of x_k:

    grad drive_k = conj(d) g  (hold)  or  g
    grad rate   += dt_k g conj(a xi)
    g           <- g + conj(d) g

States between two kept ones are computed anew. Every sum runs over events in order, and over samples in order, one
mode at a time: results do not depend on how modes and samples are spread over threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .threads import compile_kernel, run_tasks

# Modes of a task are a multiple of this: one vector register of float32.
LANES = 16


@compile_kernel
def _parts(row, p0, p1, modes):
    """Views of the real and the imaginary parts of the modes p0 .. p1, so that loops over them start at zero."""
    return row[p0:p1], row[modes + p0 : modes + p1]


@compile_kernel
def _advance(x_re, x_im, d_re, d_im, v_re, v_im, hold):
    """One event, in place: x + d (x + v) if hold else x + v + d x."""
    if hold:
        for p in range(len(x_re)):
            xi_re, xi_im = x_re[p] + v_re[p], x_im[p] + v_im[p]
            x_re[p] += d_re[p] * xi_re - d_im[p] * xi_im
            x_im[p] += d_re[p] * xi_im + d_im[p] * xi_re
    else:
        for p in range(len(x_re)):
            re, im = x_re[p], x_im[p]
            x_re[p] = re + v_re[p] + (d_re[p] * re - d_im[p] * im)
            x_im[p] = im + v_im[p] + (d_re[p] * im + d_im[p] * re)


@compile_kernel
def _forward(delta, index, drive, tokens, by_token, stride, hold, chunk, states, start, stop):
    length = index.shape[1]
    count = states.shape[1]
    modes = states.shape[2] // 2
    chunks = (modes + chunk - 1) // chunk
    full_re, full_im = np.empty(chunk, states.dtype), np.empty(chunk, states.dtype)
    for task in range(start, stop):
        b = task // chunks
        p0 = (task % chunks) * chunk
        p1 = min(p0 + chunk, modes)
        x_re, x_im = full_re[: p1 - p0], full_im[: p1 - p0]
        x_re[:] = 0
        x_im[:] = 0
        for k in range((count - 1) * stride + 1):
            d_re, d_im = _parts(delta[index[b, k]], p0, p1, modes)
            v_re, v_im = _parts(drive[tokens[b, k] if by_token else b * length + k], p0, p1, modes)
            _advance(x_re, x_im, d_re, d_im, v_re, v_im, hold)
            if k % stride == 0:
                out_re, out_im = _parts(states[b, k // stride], p0, p1, modes)
                out_re[:] = x_re
                out_im[:] = x_im


@compile_kernel
def _add_rate_gradient(sum_re, sum_im, g_re, g_im, y_re, y_im, dt):
    """sum += dt g conj(y)."""
    for p in range(len(sum_re)):
        sum_re[p] += dt * (g_re[p] * y_re[p] + g_im[p] * y_im[p])
        sum_im[p] += dt * (g_im[p] * y_re[p] - g_re[p] * y_im[p])


@compile_kernel
def _retreat(g_re, g_im, back_re, back_im, d_re, d_im):
    """back = conj(d) g; g <- g + back."""
    for p in range(len(g_re)):
        re, im = g_re[p], g_im[p]
        new_re = d_re[p] * re + d_im[p] * im
        new_im = d_re[p] * im - d_im[p] * re
        back_re[p] = new_re
        back_im[p] = new_im
        g_re[p] = re + new_re
        g_im[p] = im + new_im


@compile_kernel
def _backward_span(
    delta, values, index, drive, tokens, by_token, stride, hold, states, grad_states, grad_drive, grad_rate, b, p0, p1
):
    """The backward pass of the modes p0 .. p1 of sample b."""
    length = index.shape[1]
    modes = states.shape[2] // 2
    width = p1 - p0
    dtype = states.dtype
    g_re, g_im = np.zeros(width, dtype), np.zeros(width, dtype)
    x_re, x_im = np.empty(width, dtype), np.empty(width, dtype)
    y_re, y_im = np.empty((stride, width), dtype), np.empty((stride, width), dtype)
    back_re, back_im = np.empty(width, dtype), np.empty(width, dtype)
    sum_re, sum_im = np.zeros(width, dtype), np.zeros(width, dtype)
    for i in range(states.shape[1] - 1, -1, -1):
        # The events after the kept state i - 1, up to the one whose state is kept as i.
        first, steps = (i - 1) * stride + 1, stride
        if i == 0:
            first, steps = 0, 1
            x_re[:] = 0
            x_im[:] = 0
        else:
            kept_re, kept_im = _parts(states[b, i - 1], p0, p1, modes)
            x_re[:] = kept_re
            x_im[:] = kept_im
        for j in range(steps):
            k = first + j
            d_re, d_im = _parts(delta[index[b, k]], p0, p1, modes)
            v_re, v_im = _parts(drive[tokens[b, k] if by_token else b * length + k], p0, p1, modes)
            _advance(x_re, x_im, d_re, d_im, v_re, v_im, hold)
            # a (x_{k-1} + drive_k) = x_k + drive_k with hold, else a x_{k-1} = x_k - drive_k.
            if hold:
                for p in range(width):
                    y_re[j, p] = x_re[p] + v_re[p]
                    y_im[j, p] = x_im[p] + v_im[p]
            else:
                for p in range(width):
                    y_re[j, p] = x_re[p] - v_re[p]
                    y_im[j, p] = x_im[p] - v_im[p]
        out_re, out_im = _parts(grad_states[b, i], p0, p1, modes)
        for p in range(width):
            g_re[p] += out_re[p]
            g_im[p] += out_im[p]
        for j in range(steps - 1, -1, -1):
            k = first + j
            n = index[b, k]
            d_re, d_im = _parts(delta[n], p0, p1, modes)
            gv_re, gv_im = _parts(grad_drive[tokens[b, k] if by_token else b * length + k], p0, p1, modes)
            _add_rate_gradient(sum_re, sum_im, g_re, g_im, y_re[j], y_im[j], values[n])
            if not hold:
                for p in range(width):
                    gv_re[p] += g_re[p]
                for p in range(width):
                    gv_im[p] += g_im[p]
            _retreat(g_re, g_im, back_re, back_im, d_re, d_im)
            if hold:
                for p in range(width):
                    gv_re[p] += back_re[p]
                for p in range(width):
                    gv_im[p] += back_im[p]
    gr_re, gr_im = _parts(grad_rate[b], p0, p1, modes)
    gr_re[:] = sum_re
    gr_im[:] = sum_im


@compile_kernel
def _backward(
    delta, values, index, drive, tokens, by_token, stride, hold, chunk, states, grad_states, grad_drive, grad_rate,
    start, stop,
):  # fmt: skip
    """With a dense drive a task is one chunk of modes of one sample; with a table, of all samples in turn."""
    modes = states.shape[2] // 2
    chunks = (modes + chunk - 1) // chunk
    for task in range(start, stop):
        p0 = (task % chunks) * chunk
        p1 = min(p0 + chunk, modes)
        first, last = (0, len(index)) if by_token else (task // chunks, task // chunks + 1)
        for b in range(first, last):
            _backward_span(
                delta, values, index, drive, tokens, by_token, stride, hold, states, grad_states, grad_drive,
                grad_rate, b, p0, p1,
            )  # fmt: skip


class _EventScan(Function):
    """`event_scan` on the CPU; see there and the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any,
        rate: Tensor,
        values: Tensor,
        index: Tensor,
        drive: Tensor,
        tokens: Tensor | None,
        stride: int,
        hold: bool,
    ) -> Tensor:
        delta = decay_complement(rate, values)
        rows = drive.reshape(-1, drive.shape[-1]).contiguous()
        index = index.contiguous()
        tokens_given = tokens is not None
        chosen = index if tokens is None else tokens.contiguous()
        batch, length = index.shape
        modes = len(rate)
        states = drive.new_empty(batch, length // stride, 2 * modes)
        chunk = _chunk(modes, _split(batch))
        if states.shape[1]:
            run_tasks(
                _forward,
                batch * -(-modes // chunk),
                index.numel() * modes,
                delta,
                index,
                rows,
                chosen,
                tokens_given,
                stride,
                hold,
                chunk,
                states,
            )
        ctx.save_for_backward(delta, values, index, rows, chosen, states)
        ctx.settings = tokens_given, stride, hold, drive.shape
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor | None, ...]:
        delta, values, index, rows, tokens, states = ctx.saved_tensors
        by_token, stride, hold, shape = ctx.settings
        batch, modes = len(index), states.shape[2] // 2
        grad_rows = torch.zeros_like(rows)
        grad_rates = rows.new_zeros(batch, 2 * modes)
        chunk = _chunk(modes, torch.get_num_threads() if by_token else _split(batch))
        run_tasks(
            _backward,
            -(-modes // chunk) * (1 if by_token else batch),
            index.numel() * modes,
            delta,
            values,
            index,
            rows,
            tokens,
            by_token,
            stride,
            hold,
            chunk,
            states,
            grad_states,
            grad_rows,
            grad_rates,
        )
        grad_rate = torch.complex(*torch.from_numpy(grad_rates.numpy().sum(axis=0)).chunk(2))
        return grad_rate, None, None, grad_rows.reshape(shape), None, None, None


def event_scan_numba(
    rate: Tensor, values: Tensor, index: Tensor, drive: Tensor, tokens: Tensor | None, stride: int, hold: bool
) -> Tensor:
    """`event_scan` by compiled loops; arguments as there, on the CPU, ``tokens`` None for a dense drive."""
    return _EventScan.apply(rate, values, index, drive, tokens, stride, hold)


def decay_complement(rate: Tensor, values: Tensor) -> Tensor:
    """``exp(rate values) - 1`` without cancellation, planar: (P,) complex and (U,) to (U, 2P)."""
    exponent, angle = rate.real * values.unsqueeze(1), rate.imag * values.unsqueeze(1)
    real = torch.expm1(exponent) * torch.cos(angle) - 2 * torch.sin(angle / 2).square()
    return torch.cat([real, torch.exp(exponent) * torch.sin(angle)], dim=1)


def _split(batch: int) -> int:
    """Into how many parts the modes have to be cut for every thread to have work."""
    return -(-torch.get_num_threads() // max(batch, 1))


def _chunk(modes: int, parts: int) -> int:
    """Modes of one task, when they are cut into ``parts``."""
    return -(-modes // (parts * LANES)) * LANES
