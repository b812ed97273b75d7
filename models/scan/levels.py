"""The recurrence in levels of chunks, with a backward pass of its own: for devices where a launch costs most."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

CHUNK = 16
"""Events of a chunk: a sequence of 16^n events takes 16 n steps, each over everything that is left of it."""


def _states(decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
    """The states (B, L, P), without gradients: within chunks, from chunk to chunk by itself, and into every event."""
    batch, length, width = drive.shape
    if length <= CHUNK:
        return _loop(decay, drive, initial)
    chunks = -(-length // CHUNK)
    padding = (0, 0, 0, chunks * CHUNK - length)
    # Time first: a step of all chunks is then one piece of memory.
    decay, drive = (pad(x, padding).reshape(batch, chunks, CHUNK, width).transpose(1, 2) for x in (decay, drive))
    local, product = _loop(decay, drive, torch.zeros_like(drive[:, 0])), decay.cumprod(1)
    ends = _states(product[:, -1], local[:, -1], initial)
    starts = torch.cat([initial.unsqueeze(1), ends[:, :-1]], dim=1)
    states = torch.addcmul(local, product, starts.unsqueeze(1))
    return states.transpose(1, 2).reshape(batch, chunks * CHUNK, width)[:, :length]


def _loop(decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
    """The states of (B, T, ..., P), step after step from ``initial`` (B, ..., P)."""
    states = torch.empty_like(drive, memory_format=torch.contiguous_format)
    state = initial
    for k in range(drive.shape[1]):
        state = torch.addcmul(drive[:, k], decay[:, k], state, out=states[:, k])
    return states


class _LevelScan(Function):
    """x_k = A_k x_{k-1} + b_k; backward: gb_k = g_k + conj(A_{k+1}) gb_{k+1}, gA_k = gb_k conj(x_{k-1})."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
        states = _states(decay, drive, initial)
        ctx.save_for_backward(decay, initial, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, initial, states = ctx.saved_tensors
        # The same recurrence from the last event on; behind it nothing comes back.
        turned = torch.cat([torch.zeros_like(initial).unsqueeze(1), decay[:, 1:].conj().flip(1)], dim=1)
        grad_drive = _states(turned, grad.flip(1), torch.zeros_like(initial)).flip(1)
        before = torch.cat([initial.unsqueeze(1), states[:, :-1]], dim=1)
        return grad_drive * before.conj(), grad_drive, decay[:, 0].conj() * grad_drive[:, 0]


def scan_levels(decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
    """Run ``x_k = decay_k * x_{k-1} + drive_k`` in about 16 log16(L) vectorised steps, forward and again backward.

    Of an operation without a compiled kernel the launch is what costs: fewer steps than `chunked.scan_chunked`, and
    decay and states alone are kept for the gradient. Only products of decays occur.

    Args and returns as `chunked.scan_chunked`.
    """
    if not drive.shape[1]:
        return drive
    return _LevelScan.apply(decay, drive, initial)
