"""Decay factors by trained time constants that stay within a range."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from ..initial import uniform


class TimeConstant(nn.Module):
    """n time constants within a range: tau = p tau_max + (1 - p) tau_min, decay = exp(-1 / tau).

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
        return self.fixed if self.p is None else self.p * self.most + (1 - self.p) * self.least

    def decay(self) -> Tensor:
        """``exp(-1 / tau)``, (n,)."""
        return torch.exp(-1 / self.tau())

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring p back into [0, 1]."""
        if self.p is not None:
            self.p.clamp_(0, 1)
