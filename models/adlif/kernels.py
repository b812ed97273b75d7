"""Compiled kernels of `neuron_scan`: one pass over time for each sample, forward and backward.

Forward, V z is a sum of the columns of those neurons that spiked. Backward, with s the surrogate's slope at u^_t, g_x
the gradient of x, and primes for the step before:

    SE: g_u += coupling g_w;  g_z += jump g_w          EF: the same to u' and z'
    g_u^ = g_u (1 - z) + g_z s
    g_I = (1 - alpha) g_u^;   g_u' = alpha g_u^;   g_w' = beta g_w - g_I;   g_z' += V^T g_I
    grad alpha += g_u^ (u' - u^) / (1 - alpha), for I - w' = (u^ - alpha u') / (1 - alpha)

Sums run over time in order, for each sample by itself: results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from ..scan.threads import compile_kernel, run_tasks
from .surrogate import surrogate_slope

if TYPE_CHECKING:
    from .scan import NeuronConstants, NeuronState, Spiking

LIF, EF, SE = 0, 1, 2  # as in scan.ORDERS


@compile_kernel
def _forward(
    order, threshold, drive, columns, alpha, rise, beta, coupling, jump, u0, w0, z0, z_out, u_out, w_out, u_end, w_end,
    start, stop,
):  # fmt: skip
    steps, width = drive.shape[1:]
    dtype = drive.dtype
    zero, one, theta = threshold[0], threshold[1], threshold[2]
    current = np.empty(width, dtype)
    for b in range(start, stop):
        u, w, z = u0[b].copy(), w0[b].copy(), z0[b]
        for t in range(steps):
            current[:] = drive[b, t]
            for j in range(width):
                amount = z[j]
                if amount != zero:
                    column = columns[j]
                    for i in range(width):
                        current[i] += column[i] * amount
            potential, spikes, adaptation = u_out[b, t], z_out[b, t], w_out[b, t]
            if order == LIF:
                for i in range(width):
                    u_pre = alpha[i] * u[i] + rise[i] * current[i]
                    potential[i] = u_pre
                    spikes[i] = one if u_pre > theta else zero
                    u[i] = zero if u_pre > theta else u_pre
            elif order == EF:
                for i in range(width):
                    u_pre = alpha[i] * u[i] + rise[i] * (current[i] - w[i])
                    w[i] = beta[i] * w[i] + coupling[i] * u[i] + jump[i] * z[i]
                    potential[i] = u_pre
                    spikes[i] = one if u_pre > theta else zero
                    u[i] = zero if u_pre > theta else u_pre
            else:
                for i in range(width):
                    u_pre = alpha[i] * u[i] + rise[i] * (current[i] - w[i])
                    s = one if u_pre > theta else zero
                    u_new = zero if u_pre > theta else u_pre
                    w[i] = beta[i] * w[i] + coupling[i] * u_new + jump[i] * s
                    potential[i] = u_pre
                    spikes[i] = s
                    u[i] = u_new
            adaptation[:] = w
            z = spikes
        u_end[b] = u
        w_end[b] = w


@compile_kernel
def _transposed_product(matrix, vector, out):
    """out = matrix^T vector, four rows at a time."""
    width = len(vector)
    out[:] = 0
    whole = width - width % 4
    for i in range(0, whole, 4):
        row0, row1, row2, row3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        v0, v1, v2, v3 = vector[i], vector[i + 1], vector[i + 2], vector[i + 3]
        for j in range(width):
            out[j] += row0[j] * v0 + row1[j] * v1 + (row2[j] * v2 + row3[j] * v3)
    for i in range(whole, width):
        row, v = matrix[i], vector[i]
        for j in range(width):
            out[j] += row[j] * v


@compile_kernel
def _backward(
    order, matrix, alpha, rise, beta, coupling, jump, u0, w0, z0, z_out, u_out, w_out, grad_z, grad_u_end, grad_w_end,
    grad_drive, grad_alpha, grad_beta, grad_coupling, grad_jump, grad_u0, grad_w0, grad_z0, start, stop,
):  # fmt: skip
    """``grad_drive`` holds the surrogate's slope on entry; the state before each step is taken from the traces."""
    steps, width = grad_drive.shape[1:]
    dtype = grad_drive.dtype
    g_I, back = np.empty(width, dtype), np.empty(width, dtype)
    u_before = np.empty(width, dtype)
    for b in range(start, stop):
        g_u, g_w = grad_u_end[b].copy(), grad_w_end[b].copy()
        back[:] = 0  # of z, from the step after
        sum_alpha, sum_beta = grad_alpha[b], grad_beta[b]
        sum_coupling, sum_jump = grad_coupling[b], grad_jump[b]
        for t in range(steps - 1, -1, -1):
            z, u_pre, out, slope = z_out[b, t], u_out[b, t], grad_z[b, t], grad_drive[b, t]
            w_before, z_before = w0[b], z0[b]
            if t > 0:
                w_before, z_before = w_out[b, t - 1], z_out[b, t - 1]
                u_last = u_out[b, t - 1]
                for i in range(width):
                    u_before[i] = u_last[i] - u_last[i] * z_before[i]
            else:
                u_before[:] = u0[b]
            if order == SE:
                for i in range(width):
                    u = u_pre[i] - u_pre[i] * z[i]
                    sum_beta[i] += g_w[i] * w_before[i]
                    sum_coupling[i] += g_w[i] * u
                    sum_jump[i] += g_w[i] * z[i]
                    g_u[i] += coupling[i] * g_w[i]
                    back[i] += jump[i] * g_w[i]
            for i in range(width):
                g_pre = g_u[i] - g_u[i] * z[i] + (out[i] + back[i]) * slope[i]
                sum_alpha[i] += g_pre * (u_before[i] - u_pre[i])
                g_I[i] = rise[i] * g_pre
                g_u[i] = alpha[i] * g_pre
            slope[:] = g_I
            _transposed_product(matrix, g_I, back)
            if order == EF:
                for i in range(width):
                    sum_beta[i] += g_w[i] * w_before[i]
                    sum_coupling[i] += g_w[i] * u_before[i]
                    sum_jump[i] += g_w[i] * z_before[i]
                    g_u[i] += coupling[i] * g_w[i]
                    back[i] += jump[i] * g_w[i]
            if order != LIF:
                for i in range(width):
                    g_w[i] = beta[i] * g_w[i] - g_I[i]
        for i in range(width):
            sum_alpha[i] /= rise[i]
        grad_u0[b] = g_u
        grad_w0[b] = g_w
        grad_z0[b] = back


class _NeuronScan(Function):
    """`neuron_scan` on the CPU; see there and the module's docstring."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, order: int, drive: Tensor, recurrent: Tensor, alpha: Tensor, beta: Tensor, coupling: Tensor,
        jump: Tensor, u0: Tensor, w0: Tensor, z0: Tensor, threshold: float, slope: float, scale: float,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        batch, _, width = drive.shape
        constants = [tensor.detach().contiguous() for tensor in (alpha, 1 - alpha, beta, coupling, jump)]
        initial = [tensor.detach().contiguous() for tensor in (u0, w0, z0)]
        z, u_pre, w = (torch.empty_like(drive, memory_format=torch.contiguous_format) for _ in range(3))
        u_end, w_end = drive.new_empty(batch, width), drive.new_empty(batch, width)
        run_tasks(
            _forward,
            batch,
            drive.numel(),
            order,
            np.array([0, 1, threshold], z.numpy().dtype),
            *_arrays(drive, recurrent.t(), *constants, *initial, z, u_pre, w, u_end, w_end),
        )
        ctx.save_for_backward(recurrent, *constants, *initial, z, u_pre, w)
        ctx.settings = order, threshold, slope, scale
        ctx.mark_non_differentiable(u_pre, w)
        return z, u_end, w_end, u_pre, w

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_z: Tensor, grad_u: Tensor, grad_w: Tensor, *_: Tensor) -> tuple:
        order, *spiking = ctx.settings
        recurrent, *saved = ctx.saved_tensors
        z0, z, u_pre = saved[7:10]
        batch, _, width = z.shape
        grad_drive = surrogate_slope(u_pre, *spiking)
        sums = [z.new_zeros(batch, width) for _ in range(4)]
        initial = [z.new_empty(batch, width) for _ in range(3)]
        run_tasks(
            _backward,
            batch,
            z.numel() * width,
            order,
            *_arrays(recurrent, *saved, grad_z, grad_u, grad_w, grad_drive, *sums, *initial),
        )
        before = torch.cat([z0.unsqueeze(1), z[:, :-1]], dim=1)
        grad_recurrent = grad_drive.reshape(-1, width).t() @ before.reshape(-1, width)
        grad_alpha, *grads = (total.sum(0) for total in sums)
        return None, grad_drive, grad_recurrent, grad_alpha, *grads, *initial, None, None, None


def neuron_scan_numba(
    order: int, drive: Tensor, constants: NeuronConstants, state: NeuronState, spiking: Spiking
) -> tuple[Tensor, ...]:
    """`neuron_scan` by compiled loops: spikes, u and w after the last step, and the traces of u^ and w."""
    return _NeuronScan.apply(order, drive, *constants, *state, *spiking)


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]
