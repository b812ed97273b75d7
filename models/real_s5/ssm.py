"""The state-space model of one layer: real modes."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import softplus

from ..s5.times import EventTimes
from ..scan.event import event_scan
from .config import RealS5Config

SLOWEST = 1e-3
"""What every decay is at least, in units of 1 / step."""
FIRST_DECAY = 0.5
TINY = 1e-9
"""What keeps the recurrence by cumulative products from dividing by zero."""


class RealS5SSM(nn.Module):
    """Real diagonal state-space model over events.

        Lambda = -(softplus(Lambda_raw) + 1e-3);  decay_k = exp(Lambda step dt_k),  step = step_rescale exp(log_step)
        x_k = decay_k x_{k-1} + gamma (B u_k),    x_{-1} = 0
        gamma = (decay_k - 1) / Lambda (zoh), 1 (dirac), or (exp(Lambda step) - 1) / Lambda (async)
        y_k = C x_k + D u_k

    Every event has an output.

    Parameters (P modes): Lambda_raw, log_step (P,), or (1,) where the decay is shared; B (P, H_in); C (H_out, P);
        D (H,), or (H_out, H_in) where the widths differ; None without feedthrough.
    """

    def __init__(
        self, in_features: int, out_features: int, modes: int, config: RealS5Config, generator: Generator
    ) -> None:
        super().__init__()
        self.modes, self.config = modes, config
        rates = 1 if config.decay == "shared" else modes
        raw = math.log(math.expm1(FIRST_DECAY - SLOWEST))
        low, high = math.log(config.dt_min), math.log(config.dt_max)
        shares = torch.rand(rates, generator=generator) if rates > 1 else torch.full((1,), 0.5)
        self.Lambda_raw = nn.Parameter(torch.full((rates,), raw))
        self.log_step = nn.Parameter(low + (high - low) * shares)
        self.B = nn.Parameter(_uniform((modes, in_features), in_features, generator))
        self.C = nn.Parameter(_uniform((out_features, modes), modes, generator))
        self.D: nn.Parameter | None = None
        if config.feedthrough:
            square = in_features == out_features
            shape = (out_features, in_features)
            first = torch.zeros(in_features) if square else _uniform(shape, in_features, generator)
            self.D = nn.Parameter(first)

    def eigenvalues(self) -> Tensor:
        """Lambda, negative, (P,)."""
        return -(softplus(self.Lambda_raw) + SLOWEST).expand(self.modes)

    def rates(self) -> Tensor:
        """Lambda * step, (P,), in 1 / ms."""
        return self.eigenvalues() * (self.config.step_rescale * torch.exp(self.log_step))

    def input_matrix(self) -> Tensor:
        """B with the event-independent factor of the discretization, (P, H_in)."""
        eigenvalues, kind = self.eigenvalues(), self.config.discretization
        gamma = {
            "dirac": lambda: torch.ones_like(eigenvalues),
            "async": lambda: torch.expm1(self.rates()) / eigenvalues,
            "zoh": lambda: 1 / eigenvalues,
        }[kind]()
        return gamma.unsqueeze(1) * self.B

    def states(self, drive: Tensor, times: EventTimes) -> Tensor:
        """The state after every event, (B, L, P), of drives ``u @ input_matrix().mT`` (B, L, P)."""
        hold = self.config.discretization == "zoh"
        if self.config.recurrence == "as-trained":
            return cumulative_states(self.rates(), times.dt, drive, hold)
        rates = self.rates()
        planar = torch.cat([drive, torch.zeros_like(drive)], dim=-1)  # the scan is one of complex numbers
        states = event_scan(torch.complex(rates, torch.zeros_like(rates)), times.intervals, planar, hold=hold)
        return states[..., : self.modes]

    def output(self, states: Tensor, u: Tensor) -> Tensor:
        """C x + D u; (..., P) and (..., H_in) to (..., H_out)."""
        y = states @ self.C.mT
        if self.D is None:
            return y
        return y + (u * self.D if self.D.dim() == 1 else u @ self.D.mT)

    def forward(self, u: Tensor, times: EventTimes) -> Tensor:
        """(B, L, H_in) to (B, L, H_out)."""
        return self.output(self.states(u @ self.input_matrix().mT, times), u)

    def advance(self, u: Tensor, dt: Tensor, x: Tensor) -> Tensor:
        """The state (B, P) after one more event with input u (B, H_in), dt (B,) ms after the one before."""
        drive = u @ self.input_matrix().mT
        change = torch.expm1(self.rates() * dt.unsqueeze(1))
        return x + change * (x + drive) if self.config.discretization == "zoh" else x + change * x + drive

    def extra_repr(self) -> str:
        """The settings."""
        return f"modes={self.modes}, {self.config.decay}, {self.config.discretization}, {self.config.recurrence}"


def cumulative_states(rates: Tensor, dt: Tensor, drive: Tensor, hold: bool) -> Tensor:
    """The recurrence as the published code trains with it: cumulative products and sums, (B, L, P).

        A_k = a_1 ... a_k;    x_k = A_k sum_{i <= k} b_i / (A_i + 1e-9)

    In float32 it loses what lies far back, and all precision once A is near 1e-9: some 4 % at an exponent of 18.7.

    Args:
        rates: (P,), Lambda * step.
        dt: (B, L) ms.
        drive: (B, L, P), B u / Lambda where ``hold``.
        hold: zoh.
    """
    decay = torch.exp(rates * dt.unsqueeze(-1))
    product = torch.cumprod(decay, dim=1)
    scaled = ((decay - 1) * drive if hold else drive) / (product + TINY)
    return product * torch.cumsum(scaled, dim=1)


def _uniform(shape: tuple[int, ...], fan_in: int, generator: Generator) -> Tensor:
    bound = 1 / math.sqrt(fan_in)
    return (2 * torch.rand(shape, generator=generator) - 1) * bound
