"""Decay factors by trained time constants that stay within a range."""

from __future__ import annotations

from math import inf, isfinite

import torch
from torch import Generator, Tensor, nn

from ..initial import uniform

Bounds = tuple[float | None, float | None]
"""A range of time constants, in time steps; None is no upper limit, twice it is no decay at all."""


def is_trained(bounds: Bounds) -> bool:
    """Whether the range is more than one value."""
    return bounds[0] is not None and bounds[0] != bounds[1]


class TimeConstant(nn.Module):
    """n time constants within a range: tau = p tau_max + (1 - p) tau_min, decay = exp(-1 / tau).

    Without an upper limit tau = tau_min / (1 - p): nothing decays where p is 1.

    Attributes:
        p: (n,) in [0, 1], drawn from U(0, 1); None where the range is one value, and then nothing is trained.

    Args:
        count: n.
        bounds: (tau_min, tau_max).
        generator: of the initial values.
    """

    fixed: Tensor

    def __init__(self, count: int, bounds: Bounds, generator: Generator | None) -> None:
        super().__init__()
        self.count, trained = count, is_trained(bounds)
        self.least, self.most = (inf if bound is None else bound for bound in bounds)
        self.p = nn.Parameter(uniform((count,), generator)) if trained else None
        self.register_buffer("fixed", None if trained else torch.full((count,), float(self.least)), persistent=False)

    def tau(self) -> Tensor:
        """The time constants (n,), in time steps."""
        if self.p is None:
            return self.fixed
        return self.p * self.most + (1 - self.p) * self.least if isfinite(self.most) else self.least / (1 - self.p)

    def decay(self) -> Tensor:
        """``exp(-1 / tau)``, (n,)."""
        if self.p is not None and not isfinite(self.most):
            return torch.exp((self.p - 1) / self.least)  # with a gradient at p = 1
        return torch.exp(-1 / self.tau())

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring p back into [0, 1]."""
        if self.p is not None:
            self.p.clamp_(0, 1)
