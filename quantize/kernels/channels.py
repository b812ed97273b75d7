"""What drives the modes of channels and what is read of them, in one pass over memory each.

The states of H channels with M modes each are planar, (B, T, 2 M H): real parts, then imaginary parts, mode by mode.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ...models.scan.kernels.threads import compile_kernel, parts_of, run_tasks
from .elementwise import fits


@compile_kernel
def _drive(u, unit, out, start, stop):
    """out[r, m, h] = u[r, h] unit[m, h] for the real parts, 0 for the imaginary ones."""
    modes, channels = unit.shape
    for row in range(start, stop):
        source = u[row]
        for m in range(modes):
            scale, values = unit[m], out[row, m]
            for h in range(channels):
                values[h] = source[h] * scale[h]
        out[row, modes:] = 0


@compile_kernel
def _undrive(grad, unit, out, start, stop):
    modes, channels = unit.shape
    for row in range(start, stop):
        total = out[row]
        total[:] = 0
        for m in range(modes):
            scale, above = unit[m], grad[row, m]
            for h in range(channels):
                total[h] += above[h] * scale[h]


@compile_kernel
def _read(states, weights, out, start, stop):
    """out[r, h] = sum over m of states[r, m, h] weights[m, h]."""
    parts, channels = weights.shape
    for row in range(start, stop):
        total = out[row]
        total[:] = 0
        for m in range(parts):
            values, scale = states[row, m], weights[m]
            for h in range(channels):
                total[h] += values[h] * scale[h]


@compile_kernel
def _unread(states, weights, grad, grad_states, grad_weights, start, stop):
    """A task is one table of ``grad_weights``, which the rows of a part of the batch are summed in."""
    parts, channels = weights.shape
    for part in range(start, stop):
        table = grad_weights[part]
        for row in range(len(states) * part // len(grad_weights), len(states) * (part + 1) // len(grad_weights)):
            above = grad[row]
            for m in range(parts):
                values, scale, back, total = states[row, m], weights[m], grad_states[row, m], table[m]
                for h in range(channels):
                    back[h] = above[h] * scale[h]
                    total[h] += above[h] * values[h]


class _Drive(Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, unit: Tensor) -> Tensor:
        ctx.save_for_backward(unit)
        rows, (modes, channels) = u.contiguous().view(-1, u.shape[-1]), unit.shape
        out = u.new_empty(len(rows), 2 * modes, channels)
        run_tasks(_drive, len(rows), out.numel(), rows, unit, out)
        return out.view(*u.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (unit,) = ctx.saved_tensors
        modes, channels = unit.shape
        rows = grad.contiguous().view(-1, 2 * modes, channels)
        out = grad.new_empty(len(rows), channels)
        run_tasks(_undrive, len(rows), rows.numel(), rows, unit, out)
        return out.view(*grad.shape[:-1], channels), None


class _Read(Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weights: Tensor) -> Tensor:
        rows, weights = states.contiguous().view(-1, *weights.shape), weights.contiguous()
        ctx.save_for_backward(rows, weights)
        out = states.new_empty(len(rows), weights.shape[1])
        run_tasks(_read, len(rows), rows.numel(), rows, weights, out)
        return out.view(*states.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        rows, weights = ctx.saved_tensors
        above = grad.contiguous().view(len(rows), -1)
        parts = parts_of(len(rows))
        back, tables = torch.empty_like(rows), weights.new_zeros(parts, *weights.shape)
        run_tasks(_unread, parts, 2 * rows.numel(), rows, weights, above, back, tables)
        return back.view(*grad.shape[:-1], -1), tables.sum(0)


def drive_modes(u: Tensor, unit: Tensor) -> Tensor:
    """What drives the modes, (B, T, 2 M H), of channels u (B, T, H): the real parts alone, times ``unit`` (M, H).

    The units get no gradient.
    """
    if fits(u):
        return _Drive.apply(u, unit.to(u.dtype))
    drive = u.unsqueeze(2) * unit
    return torch.cat([drive, torch.zeros_like(drive)], dim=2).flatten(2)


def read_modes(states: Tensor, weights: Tensor) -> Tensor:
    """The sums over modes, (B, T, H), of states (B, T, 2 M H) times ``weights`` (2 M, H)."""
    if fits(states):
        return _Read.apply(states, weights)
    return (states.reshape(*states.shape[:2], *weights.shape) * weights).sum(2)
