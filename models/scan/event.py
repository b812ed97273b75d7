"""`event_scan`: the S5 recurrence over timed events, with decays, table look-up and stride in one pass."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .diagonal import diagonal_scan
from .intervals import Intervals
from .kernels.event import event_scan_numba


class TableDrive(NamedTuple):
    """A drive that depends on the event's token alone.

    Attributes:
        table: (V, 2P) planar, one row for each token.
        tokens: (B, L) int64 in [0, V), which is not checked again here.
    """

    table: Tensor
    tokens: Tensor


def event_scan(
    rate: Tensor,
    intervals: Intervals,
    drive: Tensor | TableDrive,
    *,
    stride: int = 1,
    hold: bool = False,
    implementation: str | None = None,
) -> Tensor:
    """Run a diagonal recurrence from a zero state and keep the state at the first event of each window.

        d_k = exp(rate dt_k) - 1
        x_k = x_{k-1} + d_k x_{k-1} + drive_k              hold=False (async, dirac)
        x_k = x_{k-1} + d_k (x_{k-1} + drive_k)            hold=True  (zoh, drive = B u / Lambda)

    Complex numbers are planar: the real parts of all modes, then the imaginary parts, so that the products before
    and after the scan are ordinary real matrix products.

    Args:
        rate: (P,) complex, Lambda * step in 1 / ms.
        intervals: the time differences of B sequences of L events.
        drive: (B, L, 2P) planar, or a table and tokens.
        stride: events in a window.
        hold: see above.
        implementation: as in `diagonal_scan`; "numba" is fused and by far the fastest on the CPU.

    Returns:
        (B, L // stride, 2P) planar: x_0, x_stride, x_{2 stride}, ... of complete windows. Gradients go to rate and
        drive.
    """
    dtype = rate.real.dtype
    table, tokens = drive if isinstance(drive, TableDrive) else (drive, None)
    table = table.to(dtype)
    values = intervals.values.to(dtype)
    if implementation == "numba" or (implementation is None and table.device.type == "cpu"):
        return event_scan_numba(rate, values, intervals.index, table, tokens, stride, hold)
    dense = table if tokens is None else table[tokens]
    return _event_scan_torch(rate, values[intervals.index], dense, stride, hold, implementation)


def _event_scan_torch(
    rate: Tensor, dt: Tensor, drive: Tensor, stride: int, hold: bool, implementation: str | None
) -> Tensor:
    """Any device: all decays and states are held in memory."""
    decay = torch.exp(rate * dt.unsqueeze(-1))
    complex_drive = torch.complex(*drive.chunk(2, dim=-1))
    if hold:
        complex_drive = (decay - 1) * complex_drive
    states = diagonal_scan(decay, complex_drive, implementation=implementation)
    count = drive.shape[1] // stride
    sampled = states[:, : count * stride : stride]
    return torch.cat([sampled.real, sampled.imag], dim=-1)
