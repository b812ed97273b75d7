"""Decay factors by trained time constants that stay within a range."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Generator, Tensor, nn

from ..initial import uniform


class TimeConstant(nn.Module):
    """n time constants within a range: tau = p tau_max + (1 - p) tau_min, decay = exp(-1 / tau).

    Without an upper limit, tau_max infinite, tau = tau_min / (1 - p): nothing decays where p is 1.

    Attributes:
        p: (n,) in [0, 1], drawn from U(0, 1); None where the range is one value, and then nothing is trained.

    Args:
        count: n.
        bounds: (tau_min, tau_max), in time steps.
        generator: of the initial values.
    """

    fixed: Tensor

    def __init__(self, count: int, bounds: tuple[float, float], generator: Generator | None) -> None:
        super().__init__()
        self.count, (self.least, self.most) = count, bounds
        trained = self.least < self.most
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
