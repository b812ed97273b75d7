"""Compiled kernels of `loihi_scan`, forward and backward; the node LoihiLIF has the equations.

Backward, with m the mask of v's clip (1 between its ends), s the surrogate's slope at v^, g_x the gradient of x, primes
for the step before, and k_u = (4095 - du) / 4096, k_v = (4096 - dv) / 4096:

    g_v^ = m (g_v (1 - z) + g_z s)
    g_u += g_v^;   g_a = 64 g_u;   g_u' = k_u g_u;   g_v' = k_v g_v^;   g_z' += V^T g_a;   grad bias += 64 g_v^
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ...models.scan.kernels.products import GROUP, group_product, outer_products, padded
from ...models.scan.kernels.threads import compile_kernel, run_tasks
from ...program.nodes.loihi import ALIGNMENT, DECAY_BITS, STATE_LIMIT
from .loop import Dynamics, threshold_slope

UNITY = 1 << DECAY_BITS
ALIGNED = 1 << ALIGNMENT
HIGHEST = STATE_LIMIT - 1


@compile_kernel
def _decayed(state, kept):
    product = state * kept
    return product >> DECAY_BITS if product >= 0 else -(-product >> DECAY_BITS)


@compile_kernel
def _forward(keep_u, keep_v, threshold, drive, columns, bias, z_out, u_out, v_out, lost, start, stop):
    """``v_out`` is the potential before the reset; ``lost`` (B,) counts wraps of u and clips of v."""
    steps, width = drive.shape[1:]
    current = np.empty(width, np.int64)
    for b in range(start, stop):
        u, v, z = np.zeros(width, np.int64), np.zeros(width, np.int64), np.zeros(width, np.bool_)
        for t in range(steps):
            for i in range(width):
                current[i] = np.int64(np.floor(drive[b, t, i] + 0.5))
            if len(columns):
                for j in range(width):
                    if z[j]:
                        for i in range(width):
                            current[i] += columns[j, i]
            for i in range(width):
                whole = _decayed(u[i], keep_u[i]) + (current[i] << ALIGNMENT)
                wrapped = whole - 2 * STATE_LIMIT if whole > STATE_LIMIT else whole
                wrapped = wrapped + 2 * STATE_LIMIT if wrapped <= -STATE_LIMIT else wrapped
                free = _decayed(v[i], keep_v[i]) + wrapped + bias[i]
                potential = min(max(free, -HIGHEST), HIGHEST)
                lost[b] += (wrapped != whole) + (potential != free)
                z[i] = potential > threshold[i]
                u[i] = wrapped
                v[i] = 0 if z[i] else potential
                z_out[b, t, i], u_out[b, t, i], v_out[b, t, i] = z[i], wrapped, potential


@compile_kernel
def _backward(keep_u, keep_v, matrix, z_out, v_out, grad_z, grad_drive, grad_bias, start, stop):
    """Of groups ``start`` to ``stop``; ``grad_drive`` holds the surrogate's slope on entry."""
    batch, steps, width = grad_drive.shape
    dtype = grad_drive.dtype
    padded_width = max(len(matrix), width)
    for group in range(start, stop):
        first = group * GROUP
        members = min(GROUP, batch - first)
        g_u, g_v = np.zeros((GROUP, width), dtype), np.zeros((GROUP, width), dtype)
        g_a, back = np.zeros((GROUP, padded_width), dtype), np.zeros((GROUP, padded_width), dtype)
        for t in range(steps - 1, -1, -1):
            for k in range(members):
                b = first + k
                for i in range(width):
                    g_z = grad_z[b, t, i] + back[k, i]
                    kept = g_v[k, i] - g_v[k, i] * z_out[b, t, i]
                    potential = kept + g_z * grad_drive[b, t, i]
                    if not -HIGHEST < v_out[b, t, i] < HIGHEST:
                        potential -= potential
                    total = g_u[k, i] + potential
                    grad_bias[b, i] += potential * ALIGNED
                    g_a[k, i] = grad_drive[b, t, i] = total * ALIGNED
                    g_u[k, i] = keep_u[i] * total
                    g_v[k, i] = keep_v[i] * potential
            if len(matrix):
                group_product(matrix, g_a, back)


class _LoihiScan(Function):
    """`loihi_scan` on the CPU; see there and the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, recurrent: Tensor, bias: Tensor, dynamics: Dynamics, slope: float, scale: float
    ) -> tuple[Tensor, ...]:
        z, u, v = (torch.empty_like(drive, memory_format=torch.contiguous_format) for _ in range(3))
        lost = torch.zeros(len(drive), dtype=torch.int64)
        columns = recurrent.detach().t().round().to(torch.int64)
        aligned = bias.detach().round().to(torch.int64) << ALIGNMENT
        du, dv, vth = dynamics.each(drive.shape[2])
        run_tasks(
            _forward,
            len(drive),
            drive.numel(),
            UNITY - 1 - du,
            UNITY - dv,
            vth << ALIGNMENT,
            drive,
            columns,
            aligned,
            z,
            u,
            v,
            lost,
        )
        ctx.save_for_backward(recurrent, z, v)
        ctx.settings = dynamics, slope, scale
        ctx.mark_non_differentiable(u, v, lost)
        return z, u, v, lost

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_z: Tensor, *_: None) -> tuple:
        dynamics, slope, scale = ctx.settings
        recurrent, z, v = ctx.saved_tensors
        batch, _, width = z.shape
        du, dv, vth = (torch.from_numpy(codes) for codes in dynamics.each(width))
        is_recurrent = recurrent.shape[1] > 0
        matrix = padded(recurrent) if is_recurrent else recurrent.new_zeros(0, width)
        grad_drive = threshold_slope(v, vth, slope, scale)
        grad_bias = z.new_zeros(batch, width)
        keep_u, keep_v = (((UNITY - lost) / UNITY).to(z) for lost in (du + 1, dv))
        run_tasks(
            _backward,
            -(-batch // GROUP),
            z.numel() * width,
            keep_u,
            keep_v,
            matrix,
            z,
            v,
            grad_z,
            grad_drive,
            grad_bias,
        )
        grad_recurrent = outer_products(grad_drive, z.new_zeros(batch, width), z) if is_recurrent else None
        return grad_drive, grad_recurrent, grad_bias.sum(0), None, None, None


def loihi_scan_numba(
    drive: Tensor, recurrent: Tensor, bias: Tensor, dynamics: Dynamics, slope: float, scale: float
) -> tuple[Tensor, ...]:
    """`loihi_scan` by compiled loops: z, u, v before the reset, and what was lost."""
    return _LoihiScan.apply(drive, recurrent, bias, dynamics, slope, scale)
