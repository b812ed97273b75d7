"""Leaky integrators that read a network out."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from ..scan.diagonal import diagonal_scan
from .cells import uniform_linear
from .time_constant import Bounds, TimeConstant


class LeakyIntegrator(nn.Module):
    """o_t = kappa o_{t-1} + (1 - kappa) (W_o x_t + b_o), kappa = exp(-1 / tau), one tau an output.

    With ``rise`` "one" the current enters as it is, without 1 - kappa.

    Args:
        in_features: F.
        out_features: C.
        tau: range of the time constants, in steps; trained unless the range is one value.
        generator: of the initial values.
        rise: "leak", the current enters times 1 - kappa, or "one".
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        tau: Bounds,
        generator: Generator | None,
        rise: str = "leak",
    ) -> None:
        super().__init__()
        self.rise = rise
        self.linear = uniform_linear(in_features, out_features, generator)
        self.tau = TimeConstant(out_features, tau, generator)

    def initial_state(self, batch: int) -> Tensor:
        """Zero potentials, (B, C)."""
        return self.linear.weight.new_zeros(batch, self.linear.out_features)

    def risen(self, kappa: Tensor) -> Tensor:
        """What multiplies the current, (C,)."""
        return 1 - kappa if self.rise == "leak" else torch.ones_like(kappa)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: x (B, F) and the potentials (B, C) to the next potentials, twice."""
        kappa = self.tau.decay()
        state = kappa * state + self.risen(kappa) * self.linear(x)
        return state, state

    def sequence(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """All steps of x (B, T, F): the potentials (B, T, C) and the last ones (B, C)."""
        kappa = self.tau.decay()
        drive = self.risen(kappa) * self.linear(x).to(kappa.dtype)
        state = self.initial_state(len(x)) if state is None else state
        potentials = diagonal_scan(kappa, drive, state)
        return potentials, (potentials[:, -1] if x.shape[1] else state)

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring the time constants back into their range."""
        self.tau.constrain()
