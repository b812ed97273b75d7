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

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from .threads import compile_kernel, run_tasks

# Modes of a task are a multiple of this: one vector register of float32.
LANES = 16


@compile_kernel
def _advance(x, d, v, p0, p1, modes, hold, out):
    """One event: out = x + d (x + v) if hold else x + v + d x, for the modes p0 .. p1."""
    for p in range(p0, p1):
        q = modes + p
        x_re, x_im = x[p], x[q]
        if hold:
            xi_re, xi_im = x_re + v[p], x_im + v[q]
            out[p] = x_re + (d[p] * xi_re - d[q] * xi_im)
            out[q] = x_im + (d[p] * xi_im + d[q] * xi_re)
        else:
            out[p] = x_re + v[p] + (d[p] * x_re - d[q] * x_im)
            out[q] = x_im + v[q] + (d[p] * x_im + d[q] * x_re)


@compile_kernel
def _forward(delta, index, drive, tokens, by_token, stride, hold, chunk, states, start, stop):
    length = index.shape[1]
    count = states.shape[1]
    modes = states.shape[2] // 2
    chunks = (modes + chunk - 1) // chunk
    x = np.empty(2 * modes, states.dtype)
    for task in range(start, stop):
        b = task // chunks
        p0 = (task % chunks) * chunk
        p1 = min(p0 + chunk, modes)
        x[:] = 0
        for k in range((count - 1) * stride + 1):
            row = tokens[b, k] if by_token else b * length + k
            _advance(x, delta[index[b, k]], drive[row], p0, p1, modes, hold, x)
            if k % stride == 0:
                out = states[b, k // stride]
                out[p0:p1] = x[p0:p1]
                out[modes + p0 : modes + p1] = x[modes + p0 : modes + p1]


@compile_kernel
def _retreat(g, x, d, v, dt, p0, p1, modes, hold, add, grad_v, grad_rate):
    """Undo one event: see the module's equations; ``add`` says whether grad_v is added to or set."""
    for p in range(p0, p1):
        q = modes + p
        g_re, g_im = g[p], g[q]
        back_re = d[p] * g_re + d[q] * g_im
        back_im = d[p] * g_im - d[q] * g_re
        xi_re, xi_im = x[p], x[q]
        if hold:
            xi_re += v[p]
            xi_im += v[q]
        v_re, v_im = (back_re, back_im) if hold else (g_re, g_im)
        if add:
            grad_v[p] += v_re
            grad_v[q] += v_im
        else:
            grad_v[p] = v_re
            grad_v[q] = v_im
        y_re = xi_re + (d[p] * xi_re - d[q] * xi_im)
        y_im = xi_im + (d[p] * xi_im + d[q] * xi_re)
        grad_rate[p] += dt * (g_re * y_re + g_im * y_im)
        grad_rate[q] += dt * (g_im * y_re - g_re * y_im)
        g[p] = g_re + back_re
        g[q] = g_im + back_im


@compile_kernel
def _backward_span(
    delta, values, index, drive, tokens, by_token, stride, hold, states, grad_states, grad_drive, grad_rate, b, p0, p1,
    g, window,
):  # fmt: skip
    """The backward pass of the modes p0 .. p1 of sample b; ``g`` and ``window`` are scratch space."""
    length = index.shape[1]
    modes = states.shape[2] // 2
    g[:] = 0
    for i in range(states.shape[1] - 1, -1, -1):
        g_out = grad_states[b, i]
        for p in range(p0, p1):
            g[p] += g_out[p]
            g[modes + p] += g_out[modes + p]
        if i == 0:
            first, steps = -1, 1
            window[0, :] = 0
        else:
            first, steps = (i - 1) * stride, stride
            window[0, p0:p1] = states[b, i - 1, p0:p1]
            window[0, modes + p0 : modes + p1] = states[b, i - 1, modes + p0 : modes + p1]
            for j in range(1, stride):
                k = first + j
                row = tokens[b, k] if by_token else b * length + k
                _advance(window[j - 1], delta[index[b, k]], drive[row], p0, p1, modes, hold, window[j])
        for j in range(steps - 1, -1, -1):
            k = first + j + 1
            row = tokens[b, k] if by_token else b * length + k
            n = index[b, k]
            _retreat(
                g, window[j], delta[n], drive[row], values[n], p0, p1, modes, hold, by_token, grad_drive[row],
                grad_rate[b],
            )  # fmt: skip


@compile_kernel
def _backward(
    delta, values, index, drive, tokens, by_token, stride, hold, chunk, states, grad_states, grad_drive, grad_rate,
    start, stop,
):  # fmt: skip
    """With a dense drive a task is one chunk of modes of one sample; with a table, of all samples in turn."""
    batch = index.shape[0]
    modes = states.shape[2] // 2
    chunks = (modes + chunk - 1) // chunk
    g = np.empty(2 * modes, states.dtype)
    window = np.empty((stride, 2 * modes), states.dtype)
    for task in range(start, stop):
        p0 = (task % chunks) * chunk
        p1 = min(p0 + chunk, modes)
        first, last = (0, batch) if by_token else (task // chunks, task // chunks + 1)
        for b in range(first, last):
            _backward_span(
                delta, values, index, drive, tokens, by_token, stride, hold, states, grad_states, grad_drive,
                grad_rate, b, p0, p1, g, window,
            )  # fmt: skip


class _EventScan(Function):
    """`event_scan` on the CPU; see there and the module's docstring."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
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
        tokens = tokens.contiguous() if tokens_given else index
        batch, length = index.shape
        modes = len(rate)
        states = drive.new_empty(batch, length // stride, 2 * modes)
        chunk = _chunk(modes, _split(batch))
        if states.shape[1]:
            run_tasks(
                _forward,
                batch * -(-modes // chunk),
                index.numel() * modes,
                *_arrays(delta, index, rows, tokens),
                tokens_given,
                stride,
                hold,
                chunk,
                states.numpy(),
            )
        ctx.save_for_backward(delta, values, index, rows, tokens, states)
        ctx.settings = tokens_given, stride, hold, drive.shape
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_states: Tensor) -> tuple[Tensor | None, ...]:
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
            *_arrays(delta, values, index, rows, tokens),
            by_token,
            stride,
            hold,
            chunk,
            *_arrays(states, grad_states.contiguous(), grad_rows, grad_rates),
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


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]
