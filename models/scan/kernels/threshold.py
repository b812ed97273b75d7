"""Compiled kernels of `threshold_scan`.

A row's steps depend on each other, so several rows go through time together: their chains of operations overlap.
Backward, with s the surrogate's slope at u'_t and g_u' the gradient of u'_t: g_u'_t = g_z s + tau (1 - z_t) g_u'_{t+1},
which is the gradient of x_t.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .threads import compile_kernel, run_tasks

ROWS = 8
"""That go through time together."""


@compile_kernel
def _forward(x, tau, spikes, slope, start, stop):
    """Of groups of rows ``start`` to ``stop``; the last group may have fewer."""
    rows, steps = x.shape
    zero, one = tau[1], tau[2]
    u = np.empty(ROWS, x.dtype)
    for group in range(start, stop):
        first = group * ROWS
        members = min(ROWS, rows - first)
        u[:] = zero
        for t in range(steps):
            for k in range(members):
                pre = tau[0] * u[k] + x[first + k, t]
                distance = pre - one
                reached = distance >= zero
                spikes[first + k, t] = one if reached else zero
                slope[first + k, t] = max(one - abs(distance), zero)
                u[k] = zero if reached else pre


@compile_kernel
def _backward(grad, spikes, slope, tau, out, start, stop):
    rows, steps = grad.shape
    zero, one = tau[1], tau[2]
    g = np.empty(ROWS, grad.dtype)
    for group in range(start, stop):
        first = group * ROWS
        members = min(ROWS, rows - first)
        g[:] = zero
        for t in range(steps - 1, -1, -1):
            for k in range(members):
                row = first + k
                g[k] = grad[row, t] * slope[row, t] + tau[0] * (one - spikes[row, t]) * g[k]
                out[row, t] = g[k]


def _constants(tau: float, like: Tensor) -> Tensor:
    return torch.tensor([tau, 0, 1], dtype=like.dtype)


def forward_numba(x: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Spikes and the surrogate's slope, each (..., T), of the input x (..., T)."""
    if not x.numel():
        return x.clone(), x.clone()
    rows = x.reshape(-1, x.shape[-1])
    spikes, slope = torch.empty_like(rows), torch.empty_like(rows)
    run_tasks(_forward, -(-len(rows) // ROWS), rows.numel(), rows, _constants(tau, x), spikes, slope)
    return spikes.reshape(x.shape), slope.reshape(x.shape)


def backward_numba(grad: Tensor, spikes: Tensor, slope: Tensor, tau: float) -> Tensor:
    """The gradient of x, (..., T), from that of the spikes."""
    if not grad.numel():
        return grad.clone()
    rows = grad.reshape(-1, grad.shape[-1])
    out = torch.empty_like(rows)
    run_tasks(
        _backward,
        -(-len(rows) // ROWS),
        rows.numel(),
        rows,
        spikes.reshape(rows.shape),
        slope.reshape(rows.shape),
        _constants(tau, grad),
        out,
    )
    return out.reshape(grad.shape)
