"""Compiled kernels of the quantized neurons, forward and backward; models/scan/kernels/neurons.py has those of floats.

Forward, a store's result is ``sat(floor(v 2**frac + 1/2)) 2**-frac``: exact wherever v is. Backward, with m_x the mask
of a store (1 between the ends of its range), s the surrogate's slope at u^_t, g_x the gradient of x, and primes for the
step before:

    g_w = m_w g_w
    SE: g_u += coupling g_w;  g_z += jump g_w          EF: the same to u' and z'
    g_u^ = m_u (g_u (1 - z) + g_z s)
    g_I = rise g_u^;   g_u' = alpha g_u^;   g_w' = beta g_w - g_I;   g_z' += V^T g_I
    grad alpha += g_u^ u';   grad rise += g_u^ (I - w'), which the forward pass keeps
    CUBA: g_w = m_w (g_w + rise g_u^);  g_I = g_w;  g_w' = beta g_w;  grad rise += g_u^ w

Of other resets than to zero at once, g_u^ = m_u (g_u + g_z s), and none of it where a late one makes u^ zero. Where a
refractory neuron is held, g_u' = g_u, and s is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ....models.scan.kernels.neurons import CUBA, EF, LIF, ORDERS, SE, remaining, taken
from ....models.scan.kernels.products import GROUP, add_spikes, group_product, outer_products, padded
from ....models.scan.kernels.threads import compile_kernel, run_tasks
from ....models.scan.neuron_step import RESETS, NeuronState
from ....models.scan.surrogate import surrogate_slope
from ....program.formats import Format
from ..neuron_loop import NeuronCodes


def store_settings(format: Format, dtype: torch.dtype) -> Tensor:
    """Units in 1, value of one unit, lowest and highest code; then 0, 1 and 1/2 of the same type."""
    return torch.tensor([2.0**format.frac, format.scale, format.min, format.max, 0, 1, 0.5], dtype=dtype)


@compile_kernel
def _forward(
    order, reset, refractory, u_store, w_store, drive, columns, threshold, alpha, rise, beta, coupling, jump, u0, w0,
    z0, c0, z_out, u_out, w_out, driven_out, held_out, u_end, w_end, c_end, clipped, start, stop,
):  # fmt: skip
    """``driven_out`` receives what rise multiplies, I - w' or the synaptic current; ``held_out`` 1 where a refractory
    neuron is held, and is empty if there are none.
    """
    steps, width = drive.shape[1:]
    dtype = drive.dtype
    zero, one, half = u_store[4], u_store[5], u_store[6]
    clears, falls, late_clears, late_falls = taken(reset, one, zero)
    u_scale, u_unit, u_low, u_high = u_store[0], u_store[1], u_store[2], u_store[3]
    w_scale, w_unit, w_low, w_high = w_store[0], w_store[1], w_store[2], w_store[3]
    adapting = one if order in (EF, SE) else zero
    current = np.zeros(columns.shape[1], dtype)
    spiking = np.empty(width, np.int64)
    lost = np.empty(width, dtype)  # by neuron: a single sum would not vectorise
    for b in range(start, stop):
        u, w, z, c = u0[b].copy(), w0[b].copy(), z0[b], c0[b].copy()
        lost[:] = 0
        for t in range(steps):
            current[:width] = drive[b, t]
            add_spikes(columns, z, zero, spiking, current)
            potential, spikes, adaptation, driven = u_out[b, t], z_out[b, t], w_out[b, t], driven_out[b, t]
            for i in range(width):
                rounded = np.floor(current[i] * u_scale + half) * u_unit
                driven[i] = rounded - adapting * w[i]
            if order == CUBA:
                for i in range(width):
                    free = np.floor((beta[i] * w[i] + driven[i]) * w_scale + half)
                    code = min(max(free, w_low), w_high)
                    lost[i] += one if code != free else zero
                    w[i] = code * w_unit
                    driven[i] = w[i]
            elif order == EF:
                for i in range(width):
                    free = np.floor((beta[i] * w[i] + coupling[i] * u[i] + jump[i] * z[i]) * w_scale + half)
                    code = min(max(free, w_low), w_high)
                    lost[i] += one if code != free else zero
                    w[i] = code * w_unit
            for i in range(width):
                v = alpha[i] * u[i] + rise[i] * driven[i]
                potential[i] = remaining(late_clears, late_falls * threshold[i], v, z[i], zero)
            if refractory > 0:
                for i in range(width):
                    held_out[b, t, i] = one if c[i] > zero else zero
                    potential[i] = u[i] if c[i] > zero else potential[i]
            for i in range(width):  # a loop over fewer arrays, as compilers compare each with each
                free = np.floor(potential[i] * u_scale + half)
                code = min(max(free, u_low), u_high)
                lost[i] += one if code != free else zero
                u_pre = code * u_unit
                potential[i] = u_pre
                s = one if u_pre > threshold[i] else zero
                spikes[i] = s
                u[i] = remaining(clears, falls * threshold[i], u_pre, s, zero)
            if refractory > 0:
                for i in range(width):
                    if c[i] > zero:  # what is held does not spike, nor is it reset
                        spikes[i] = zero
                        u[i] = potential[i]
                    c[i] = refractory if spikes[i] != zero else max(c[i] - one, zero)
            if order == SE:
                for i in range(width):
                    free = np.floor((beta[i] * w[i] + coupling[i] * u[i] + jump[i] * spikes[i]) * w_scale + half)
                    code = min(max(free, w_low), w_high)
                    lost[i] += one if code != free else zero
                    w[i] = code * w_unit
            adaptation[:] = w
            z = spikes
        u_end[b] = u
        w_end[b] = w
        c_end[b] = c
        for i in range(width):
            clipped[b] += np.int64(lost[i])


@compile_kernel
def _backward(
    order, reset, u_store, w_store, threshold, matrix, alpha, rise, beta, coupling, jump, u0, w0, z0, z_out, u_out,
    w_out, driven, held, grad_z, grad_u_end, grad_w_end, grad_drive, grad_alpha, grad_rise, grad_beta, grad_coupling,
    grad_jump, grad_u0, grad_w0, grad_z0, start, stop,
):  # fmt: skip
    """Of groups ``start`` to ``stop``; ``grad_drive`` holds the surrogate's slope on entry, 0 where one is ``held``."""
    batch, steps, width = grad_drive.shape
    dtype = grad_drive.dtype
    zero, one = u_store[4], u_store[5]
    clears, falls, late_clears, _ = taken(reset, one, zero)
    share, late_share = one if clears else zero, one if late_clears else zero
    u_lowest, u_highest = u_store[2] * u_store[1], u_store[3] * u_store[1]
    w_lowest, w_highest = w_store[2] * w_store[1], w_store[3] * w_store[1]
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
                        u_before[i] = remaining(clears, falls * threshold[i], u_last[i], z_before[i], zero)
                else:
                    u_before[:] = u0[b]
                if order != LIF and order != CUBA:
                    for i in range(width):
                        g_w[k, i] = g_w[k, i] if w_lowest < w_out[b, t, i] < w_highest else zero
                        grad_beta[b, i] += g_w[k, i] * w_before[i]
                if order == SE:
                    for i in range(width):
                        u = remaining(clears, falls * threshold[i], u_out[b, t, i], z_out[b, t, i], zero)
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
                    g_pre = g_pre if u_lowest < u_out[b, t, i] < u_highest else zero
                    g_pre = g_pre - late_share * g_pre * z_before[i]
                    grad_alpha[b, i] += g_pre * u_before[i]
                    grad_rise[b, i] += g_pre * driven[b, t, i]
                    g_I[k, i] = grad_drive[b, t, i] = rise[i] * g_pre
                    g_u[k, i] = alpha[i] * g_pre
                if refractory:
                    for i in range(width):
                        g_u[k, i] += passing[i]
                if order == CUBA:
                    for i in range(width):
                        g_in = g_w[k, i] + g_I[k, i]
                        g_w[k, i] = g_in if w_lowest < w_out[b, t, i] < w_highest else zero
                        grad_beta[b, i] += g_w[k, i] * w_before[i]
                        g_I[k, i] = grad_drive[b, t, i] = g_w[k, i]
                if order == EF:
                    for i in range(width):
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
            grad_u0[b] = g_u[k]
            grad_w0[b] = g_w[k]
            grad_z0[b] = back[k, :width]


class _NeuronScan(Function):
    """`neuron_scan_numba`; see the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any, order: int, drive: Tensor, recurrent: Tensor, threshold: Tensor, alpha: Tensor, rise: Tensor,
        beta: Tensor, coupling: Tensor, jump: Tensor, u0: Tensor, w0: Tensor, z0: Tensor, c0: Tensor, potential: Format,
        adaptation: Format, slope: float, scale: float, reset: int, refractory: int,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        batch, steps, width = drive.shape
        constants = [tensor.detach().contiguous() for tensor in (alpha, rise, beta, coupling, jump)]
        initial = [tensor.detach().contiguous() for tensor in (u0, w0, z0)]
        stores = [store_settings(format, drive.dtype) for format in (potential, adaptation)]
        z, u_pre, w, driven = (torch.empty_like(drive, memory_format=torch.contiguous_format) for _ in range(4))
        u_end, w_end, c_end = (drive.new_empty(batch, width) for _ in range(3))
        held = drive.new_empty(batch, steps if refractory else 0, width)
        clipped = torch.zeros(batch, dtype=torch.int64)
        run_tasks(
            _forward,
            batch,
            drive.numel(),
            order,
            reset,
            refractory,
            *stores,
            drive,
            padded(recurrent.t()),
            threshold,
            *constants,
            *initial,
            c0.contiguous(),
            z,
            u_pre,
            w,
            driven,
            held,
            u_end,
            w_end,
            c_end,
            clipped,
        )
        ctx.save_for_backward(recurrent, threshold, *stores, *constants, *initial, z, u_pre, w, driven, held)
        ctx.settings = order, reset, slope, scale
        ctx.mark_non_differentiable(c_end, u_pre, w, clipped)
        ctx.set_materialize_grads(False)
        return z, u_end, w_end, c_end, u_pre, w, clipped

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_z: Tensor | None, grad_u: Tensor | None, grad_w: Tensor | None, *_: None) -> tuple:
        order, reset, *surrogate = ctx.settings
        recurrent, threshold, *saved = ctx.saved_tensors
        z0, z, u_pre = saved[9:12]
        held = saved[-1]
        batch, _, width = z.shape
        grad_z = torch.zeros_like(z) if grad_z is None else grad_z
        grad_u, grad_w = (z.new_zeros(batch, width) if grad is None else grad for grad in (grad_u, grad_w))
        grad_drive = surrogate_slope(u_pre, threshold, *surrogate)
        grad_drive = grad_drive * (1 - held) if held.shape[1] else grad_drive
        sums = [z.new_zeros(batch, width) for _ in range(5)]
        initial = [z.new_empty(batch, width) for _ in range(3)]
        run_tasks(
            _backward,
            -(-batch // GROUP),
            z.numel() * width,
            order,
            reset,
            *saved[:2],
            threshold,
            padded(recurrent),
            *saved[2:],
            grad_z,
            grad_u,
            grad_w,
            grad_drive,
            *sums,
            *initial,
        )
        grad_recurrent = outer_products(grad_drive, z0, z)
        constants = [total.sum(0) for total in sums]
        return None, grad_drive, grad_recurrent, None, *constants, *initial, *[None] * 7


def neuron_scan_numba(
    order: str,
    drive: Tensor,
    codes: NeuronCodes,
    state: NeuronState,
    potential: Format,
    adaptation: Format,
    slope: float,
    scale: float,
    reset: str,
    refractory: int,
) -> tuple[Tensor, ...]:
    """The same as `neuron_loop`, by compiled loops on the CPU."""
    settings = slope, scale, RESETS.index(reset), refractory
    return _NeuronScan.apply(ORDERS.index(order), drive, *codes, *state, potential, adaptation, *settings)
