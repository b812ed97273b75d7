"""The quantized recurrence as a loop of torch operations, for any device; autograd derives the gradient."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding

from ..rounding import round_half_up


def scan_loop(
    drive: Tensor,
    tokens: Tensor | None,
    gaps: Tensor,
    complement: Tensor,
    rate: Tensor,
    initial: Tensor,
    limits: tuple[float, float],
    hold: bool,
    stride: int,
) -> tuple[Tensor, Tensor]:
    """States of every window's first event, and saturations by sample.

    Args:
        drive: (B, L, 2P) planar; with ``tokens`` (V, 2P).
        tokens: (B, L) int64, or None.
        gaps: (B, L) int64 in [0, 2**J).
        complement: (J, 2P) planar float64.
        rate: (2P,) planar.
        initial: (B, 2P) planar.
        limits: lowest and highest code.
        hold: see `quantized_scan`.
        stride: events in a window.

    Returns:
        (B, L // stride, 2P) in the drive's dtype, (B,) int64.
    """
    if tokens is not None:
        drive = embedding(tokens, drive)
    count = drive.shape[1] // stride
    step = _DigitSteps(complement, rate.double(), limits)
    digits = [((gaps >> j) & 1).bool() for j in range(len(complement))]
    in_use = [digit.any(dim=0).tolist() for digit in digits]
    x = initial.double()
    kept = []
    for k, v in enumerate(round_half_up(drive.double()).unbind(1)):
        moved = gaps[:, k].bool().unsqueeze(1)
        y = step.store(x + v, moved) if hold else x
        for j, used in enumerate(in_use):
            if used[k]:
                active = digits[j][:, k].unsqueeze(1)
                y = torch.where(active, step.decay(y, j, active), y)
        y = step.store(y - v if hold else y + v, moved if hold else torch.ones_like(moved))
        x = torch.where(moved, y, x) if hold else y
        if k % stride == 0 and k // stride < count:
            kept.append(x.to(drive.dtype))
    states = torch.stack(kept, dim=1) if kept else drive[:, :0]
    return states, step.saturations(drive)


class _DigitSteps:
    """One decay step for each binary digit of a gap, and the saturating store."""

    def __init__(self, complement: Tensor, rate: Tensor, limits: tuple[float, float]) -> None:
        self.limits = limits
        self._saturations: Tensor | None = None
        # The value of d_j, with the gradient of exp(rate 2**j) at the quantized decay.
        growth = 2.0 ** torch.arange(len(complement), dtype=torch.float64, device=rate.device).unsqueeze(1)
        change_re, change_im = ((rate - rate.detach()) * growth).chunk(2, dim=1)
        d_re, d_im = complement.chunk(2, dim=1)
        self.d_re = d_re + (1 + d_re) * change_re - d_im * change_im
        self.d_im = d_im + (1 + d_re) * change_im + d_im * change_re

    def decay(self, x: Tensor, digit: int, active: Tensor) -> Tensor:
        """``sat(x + rhu(d x))``, (B, 2P)."""
        d_re, d_im = self.d_re[digit], self.d_im[digit]
        x_re, x_im = x.chunk(2, dim=1)
        moved = torch.cat([d_re * x_re - d_im * x_im, d_re * x_im + d_im * x_re], dim=1)
        return self.store(x + round_half_up(moved), active)

    def store(self, x: Tensor, active: Tensor) -> Tensor:
        """``sat(x)``, counted where ``active`` (B, 1)."""
        clipped = x.clamp(*self.limits)
        lost = ((clipped != x) & active).sum(dim=1)
        self._saturations = lost if self._saturations is None else self._saturations + lost
        return clipped

    def saturations(self, drive: Tensor) -> Tensor:
        """Clipped stores so far, (B,) int64."""
        if self._saturations is None:
            return torch.zeros(len(drive), dtype=torch.int64, device=drive.device)
        return self._saturations
