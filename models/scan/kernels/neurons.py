"""Compiled kernels of `neuron_scan`: one pass over time for each sample, forward and backward.

Forward, V z is a sum of the columns of those neurons that spiked. Backward, with s the surrogate's slope at u^_t, g_x
the gradient of x, and primes for the step before:

    SE: g_u += coupling g_w;  g_z += jump g_w          EF: the same to u' and z'
    g_u^ = g_u (1 - z) + g_z s
    g_I = (1 - alpha) g_u^;   g_u' = alpha g_u^;   g_w' = beta g_w - g_I;   g_z' += V^T g_I
    grad alpha += g_u^ (u' - u^) / (1 - alpha), for I - w' = (u^ - alpha u') / (1 - alpha)
    CUBA: g_w += (1 - alpha) g_u^;  g_I = g_w;  g_w' = beta g_w

Of other resets than to zero at once, g_u^ = g_u + g_z s, and none of it where a late one makes u^ zero. With a rise of
its own in place of 1 - alpha, grad alpha += g_u^ u'. Where a refractory neuron is held, g_u' = g_u, and s is 0.

Backward, samples go through time in groups, so that V is read once a group; each sample's sums are its own and run over
time in order: results do not depend on groups and threads. (The gradient of V is a product by torch.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ..neuron_step import RESETS, NeuronConstants, NeuronState, Spiking
from ..surrogate import surrogate_slope
from .products import GROUP, add_spikes, group_product, outer_products, padded
from .threads import compile_kernel, run_tasks

ORDERS = ("lif", "ef", "se", "cuba")
LIF, EF, SE, CUBA = range(4)  # numbers of ORDERS
ZERO, SUBTRACT, LATE_ZERO, LATE_SUBTRACT = range(4)  # of RESETS


@compile_kernel
def remaining(clears, part, u, z, zero):
    """What a reset leaves of the potential ``u`` where z is its spike: nothing if it clears, else u less ``part``.

    Choices, not branches, so that loops over neurons become vectors.
    """
    after = zero if clears else u - part
    return after if z != zero else u


@compile_kernel
def taken(reset, theta, zero):
    """Whether the step's own reset clears and what it subtracts, and the same of a reset a step later."""
    return (
        reset == ZERO,
        theta if reset == SUBTRACT else zero,
        reset == LATE_ZERO,
        theta if reset == LATE_SUBTRACT else zero,
    )


@compile_kernel
def _forward(
    order, reset, refractory, threshold, drive, columns, alpha, rise, beta, coupling, jump, u0, w0, z0, c0, z_out,
    u_out, w_out, held_out, u_end, w_end, c_end, start, stop,
):  # fmt: skip
    """``held_out`` receives 1 where a refractory neuron is held; it is empty if there are none."""
    steps, width = drive.shape[1:]
    dtype = drive.dtype
    zero, one, theta = threshold[0], threshold[1], threshold[2]
    clears, part, late_clears, late_part = taken(reset, theta, zero)
    current = np.zeros(columns.shape[1], dtype)
    spiking = np.empty(width, np.int64)
    for b in range(start, stop):
        u, w, z, c = u0[b].copy(), w0[b].copy(), z0[b], c0[b].copy()
        for t in range(steps):
            current[:width] = drive[b, t]
            add_spikes(columns, z, zero, spiking, current)
            potential, spikes, adaptation = u_out[b, t], z_out[b, t], w_out[b, t]
            if order == CUBA:
                for i in range(width):
                    w[i] = beta[i] * w[i] + current[i]
                    current[i] = w[i]
            elif order == EF:
                for i in range(width):
                    current[i] = current[i] - w[i]
                    w[i] = beta[i] * w[i] + coupling[i] * u[i] + jump[i] * z[i]
            elif order == SE:
                for i in range(width):
                    current[i] = current[i] - w[i]
            if refractory > 0:
                for i in range(width):
                    held = c[i] > zero
                    u_pre = u[i] if held else alpha[i] * u[i] + rise[i] * current[i]
                    potential[i] = u_pre
                    s = one if u_pre > theta and not held else zero
                    spikes[i] = s
                    held_out[b, t, i] = one if held else zero
                    c[i] = refractory if s != zero else max(c[i] - one, zero)
                    u[i] = remaining(clears, part, u_pre, s, zero)
            else:
                for i in range(width):
                    u_pre = remaining(late_clears, late_part, alpha[i] * u[i] + rise[i] * current[i], z[i], zero)
                    potential[i] = u_pre
                    s = one if u_pre > theta else zero
                    spikes[i] = s
                    u[i] = remaining(clears, part, u_pre, s, zero)
            if order == SE:
                for i in range(width):
                    w[i] = beta[i] * w[i] + coupling[i] * u[i] + jump[i] * spikes[i]
            adaptation[:] = w
            z = spikes
        u_end[b] = u
        w_end[b] = w
        c_end[b] = c


@compile_kernel
def _backward(
    order, reset, leaks, threshold, matrix,
    alpha, rise, beta, coupling, jump, u0, w0, z0, z_out, u_out, w_out, held, grad_z, grad_u_end, grad_w_end,
    grad_drive, grad_alpha, grad_beta, grad_coupling, grad_jump, grad_u0, grad_w0, grad_z0, start, stop,
):  # fmt: skip
    """Of groups ``start`` to ``stop``; the last group of the batch may have fewer samples.

    ``grad_drive`` holds the surrogate's slope on entry, 0 where a neuron is ``held``; the state before each step is
    taken from the traces. Arrays are indexed by element where they can be: each view taken costs as much as a dozen
    neurons. ``leaks``: rise is 1 - alpha.
    """
    batch, steps, width = grad_drive.shape
    dtype, zero, one, theta = grad_drive.dtype, threshold[0], threshold[1], threshold[2]
    clears, part, late_clears, late_part = taken(reset, theta, zero)
    share, late_share, leak = one if clears else zero, one if late_clears else zero, one if leaks else zero
    g_u, g_w = np.empty((GROUP, width), dtype), np.empty((GROUP, width), dtype)
    u_before, passing = np.empty(width, dtype), np.empty(width, dtype)
    refractory = held.shape[1] > 0
    for group in range(start, stop):
        first = group * GROUP
        members = min(GROUP, batch - first)
        g_I, back = np.zeros((GROUP, len(matrix)), dtype), np.zeros((GROUP, len(matrix)), dtype)  # back: of z
        for k in range(members):
            g_u[k] = grad_u_end[first + k]
            g_w[k] = grad_w_end[first + k]
        for t in range(steps - 1, -1, -1):
            for k in range(members):
                b = first + k
                w_before, z_before = w0[b], z0[b]
                if t > 0:
                    w_before, z_before = w_out[b, t - 1], z_out[b, t - 1]
                    u_last = u_out[b, t - 1]
                    for i in range(width):
                        u_before[i] = remaining(clears, part, u_last[i], z_before[i], zero)
                else:
                    u_before[:] = u0[b]
                if order == SE:
                    for i in range(width):
                        u = remaining(clears, part, u_out[b, t, i], z_out[b, t, i], zero)
                        grad_beta[b, i] += g_w[k, i] * w_before[i]
                        grad_coupling[b, i] += g_w[k, i] * u
                        grad_jump[b, i] += g_w[k, i] * z_out[b, t, i]
                        g_u[k, i] += coupling[i] * g_w[k, i]
                        back[k, i] += jump[i] * g_w[k, i]
                if refractory:  # held potentials pass their gradient by the step
                    for i in range(width):
                        passing[i] = held[b, t, i] * g_u[k, i]
                        g_u[k, i] -= passing[i]
                for i in range(width):
                    g_z = grad_z[b, t, i] + back[k, i]
                    g_pre = g_u[k, i] - share * g_u[k, i] * z_out[b, t, i] + g_z * grad_drive[b, t, i]
                    g_pre = g_pre - late_share * g_pre * z_before[i]
                    risen = u_out[b, t, i] + late_part * z_before[i]
                    grad_alpha[b, i] += g_pre * (u_before[i] - leak * risen)
                    g_I[k, i] = grad_drive[b, t, i] = rise[i] * g_pre
                    g_u[k, i] = alpha[i] * g_pre
                if refractory:
                    for i in range(width):
                        g_u[k, i] += passing[i]
                if order == CUBA:
                    for i in range(width):
                        g_w[k, i] += g_I[k, i]
                        grad_beta[b, i] += g_w[k, i] * w_before[i]
                        g_I[k, i] = grad_drive[b, t, i] = g_w[k, i]
                if order == EF:
                    for i in range(width):
                        grad_beta[b, i] += g_w[k, i] * w_before[i]
                        grad_coupling[b, i] += g_w[k, i] * u_before[i]
                        grad_jump[b, i] += g_w[k, i] * z_before[i]
                        g_u[k, i] += coupling[i] * g_w[k, i]
            group_product(matrix, g_I, back)
            if order == EF:
                for k in range(members):
                    for i in range(width):
                        back[k, i] += jump[i] * g_w[k, i]
            if order == CUBA:
                for k in range(members):
                    for i in range(width):
                        g_w[k, i] = beta[i] * g_w[k, i]
            elif order != LIF:
                for k in range(members):
                    for i in range(width):
                        g_w[k, i] = beta[i] * g_w[k, i] - g_I[k, i]
        for k in range(members):
            b = first + k
            for i in range(width):
                if leaks:
                    grad_alpha[b, i] /= rise[i]
            grad_u0[b] = g_u[k]
            grad_w0[b] = g_w[k]
            grad_z0[b] = back[k, :width]


class _NeuronScan(Function):
    """`neuron_scan` on the CPU; see there and the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any, order: int, drive: Tensor, recurrent: Tensor, alpha: Tensor, beta: Tensor, coupling: Tensor,
        jump: Tensor, rise: Tensor | None, u0: Tensor, w0: Tensor, z0: Tensor, c0: Tensor, spiking: Spiking,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        batch, steps, width = drive.shape
        rises = 1 - alpha if rise is None else rise
        constants = [tensor.detach().contiguous() for tensor in (alpha, rises, beta, coupling, jump)]
        initial = [tensor.detach().contiguous() for tensor in (u0, w0, z0)]
        z, u_pre, w = (torch.empty_like(drive, memory_format=torch.contiguous_format) for _ in range(3))
        u_end, w_end, c_end = (drive.new_empty(batch, width) for _ in range(3))
        held = drive.new_empty(batch, steps if spiking.refractory else 0, width)
        threshold = np.array([0, 1, spiking.threshold], z.numpy().dtype)
        run_tasks(
            _forward,
            batch,
            drive.numel(),
            order,
            RESETS.index(spiking.reset),
            spiking.refractory,
            threshold,
            drive,
            padded(recurrent.t()),
            *constants,
            *initial,
            c0.contiguous(),
            z,
            u_pre,
            w,
            held,
            u_end,
            w_end,
            c_end,
        )
        ctx.save_for_backward(recurrent, *constants, *initial, z, u_pre, w, held)
        ctx.settings = order, rise is None, threshold, spiking
        ctx.mark_non_differentiable(c_end, u_pre, w)
        ctx.set_materialize_grads(False)
        return z, u_end, w_end, c_end, u_pre, w

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_z: Tensor | None, grad_u: Tensor | None, grad_w: Tensor | None, *_: None) -> tuple:
        order, leaks, threshold, spiking = ctx.settings
        recurrent, *saved = ctx.saved_tensors
        z0, z, u_pre = saved[7:10]
        batch, _, width = z.shape
        grad_z = torch.zeros_like(z) if grad_z is None else grad_z
        grad_u, grad_w = (z.new_zeros(batch, width) if grad is None else grad for grad in (grad_u, grad_w))
        grad_drive = surrogate_slope(u_pre, *spiking.surrogate)
        grad_drive = grad_drive * (1 - saved[-1]) if spiking.refractory else grad_drive
        sums = [z.new_zeros(batch, width) for _ in range(4)]
        initial = [z.new_empty(batch, width) for _ in range(3)]
        run_tasks(
            _backward,
            -(-batch // GROUP),
            z.numel() * width,
            order,
            RESETS.index(spiking.reset),
            leaks,
            threshold,
            padded(recurrent),
            *saved,
            grad_z,
            grad_u,
            grad_w,
            grad_drive,
            *sums,
            *initial,
        )
        grad_alpha, *grads = (total.sum(0) for total in sums)
        grad_recurrent = outer_products(grad_drive, z0, z)
        return None, grad_drive, grad_recurrent, grad_alpha, *grads, None, *initial, None, None


def neuron_scan_numba(
    order: str, drive: Tensor, constants: NeuronConstants, state: NeuronState, spiking: Spiking
) -> tuple[Tensor, ...]:
    """`neuron_scan` by compiled loops: spikes, u, w and c after the last step, and the traces of u^ and w."""
    return _NeuronScan.apply(ORDERS.index(order), drive, *constants, *state, spiking)
