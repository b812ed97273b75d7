"""`diagonal_scan`: one signature over the implementations of the diagonal recurrence."""

from __future__ import annotations

import torch
from torch import Tensor

from .choice import choose
from .chunked import scan_chunked
from .kernels.diagonal import scan_numba
from .levels import scan_levels

IMPLEMENTATIONS = {"torch": scan_chunked, "levels": scan_levels, "numba": scan_numba}


def diagonal_scan(
    decay: Tensor, drive: Tensor, initial: Tensor | None = None, *, implementation: str | None = None
) -> Tensor:
    """Diagonal linear recurrence ``x_k = decay_k * x_{k-1} + drive_k`` with a gradient to all three inputs.

    Args:
        decay: (B, L, P) or broadcastable to it; the decay applied before event k.
        drive: (B, L, P).
        initial: (B, P), the state before the first event; zero if not given.
        implementation: "torch" (chunked, any device), "levels" (fewer and larger steps, any device) or "numba"
            (compiled, complex tensors on the CPU); by default the fastest that fits.

    Returns:
        The states, (B, L, P), in the common dtype of decay and drive.

    Raises:
        PumiceError: an implementation that is unknown or does not fit the tensors.
    """
    dtype = torch.promote_types(decay.dtype, drive.dtype)
    on_cpu = drive.device.type == "cpu"
    name = implementation if on_cpu else implementation or "levels"
    scan = choose(IMPLEMENTATIONS, name, dtype.is_complex and on_cpu, "complex tensors on the CPU")
    decay = decay.to(dtype).expand(drive.shape)
    drive = drive.to(dtype)
    initial = drive.new_zeros(drive.shape[0], drive.shape[2]) if initial is None else initial.to(dtype)
    return scan(decay, drive, initial)
