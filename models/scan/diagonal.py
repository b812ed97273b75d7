"""`diagonal_scan`: one signature over the implementations of the diagonal recurrence."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import PumiceError
from .chunked import scan_chunked
from .reference import scan_reference

IMPLEMENTATIONS = {"reference": scan_reference, "torch": scan_chunked}


def diagonal_scan(
    decay: Tensor, drive: Tensor, initial: Tensor | None = None, *, implementation: str | None = None
) -> Tensor:
    """Diagonal linear recurrence ``x_k = decay_k * x_{k-1} + drive_k`` with a gradient to all three inputs.

    Args:
        decay: (B, L, P) or broadcastable to it; the decay applied before event k.
        drive: (B, L, P).
        initial: (B, P), the state before the first event; zero if not given.
        implementation: "reference" (plain loop) or "torch" (chunked, any device); by default the best one
            for the device.

    Returns:
        The states, (B, L, P), in the common dtype of decay and drive.

    Raises:
        PumiceError: unknown implementation.
    """
    if implementation is None:
        implementation = "torch"
    if implementation not in IMPLEMENTATIONS:
        known = ", ".join(sorted(IMPLEMENTATIONS))
        raise PumiceError(f"scan implementation '{implementation}' is unknown; choose one of {known}")
    dtype = torch.promote_types(decay.dtype, drive.dtype)
    decay = decay.to(dtype).expand(drive.shape)
    drive = drive.to(dtype)
    initial = drive.new_zeros(drive.shape[0], drive.shape[2]) if initial is None else initial.to(dtype)
    return IMPLEMENTATIONS[implementation](decay, drive, initial)
