"""The state-space model of one layer."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from ..initial import uniform
from ..scan.event import TableDrive, event_scan
from .discretization import constant_gamma, mode_rates
from .hippo import hippo_modes, no_modes
from .init import normal, truncated_normal
from .times import EventTimes

# Largest real part of a mode where clip_eigs is set.
LARGEST_REAL_PART = -1e-4


class S5SSM(nn.Module):
    """Diagonal state-space model over events (Smith et al. 2022; Schoene et al. 2024, section 3.2).

        x_k = decay_k x_{k-1} + gamma_k (B u_k),    x_{-1} = 0
        y   = 2 Re(C x) (conj_sym) or Re(C x),      plus D u

    A layer of stride s emits one output a window: x is sampled at the window's *first* event, while D acts on the
    pooled input of the whole window.

    Parameters (P kept modes; complex numbers as a last axis of real and imaginary part):
        Lambda_re, Lambda_im (P,); B (P, H_in, 2); C (H_out, P, 2); log_step (P, 1);
        D (H,), or (H_out, H_in) where the widths differ; None without feedthrough.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        modes: int,
        *,
        block_size: int,
        stride: int,
        conj_sym: bool,
        clip_eigs: bool,
        discretization: str,
        dt_min: float,
        dt_max: float,
        c_init: str,
        step_rescale: float,
        feedthrough: bool = True,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.conj_sym = conj_sym
        self.clip_eigs = clip_eigs
        self.discretization = discretization
        self.step_rescale = step_rescale

        eigenvalues, eigenvectors = (no_modes if generator is None else hippo_modes)(modes, block_size, conj_sym)
        vectors = torch.from_numpy(eigenvectors)
        kept = len(eigenvalues)
        dtype = torch.get_default_dtype()
        self.Lambda_re = nn.Parameter(torch.from_numpy(eigenvalues.real.copy()).to(dtype))
        self.Lambda_im = nn.Parameter(torch.from_numpy(eigenvalues.imag.copy()).to(dtype))
        real_b = truncated_normal((modes, in_features), 1 / math.sqrt(modes), generator)
        self.B = nn.Parameter(torch.view_as_real(vectors.mH @ real_b.to(vectors.dtype)).to(dtype))
        self.C = nn.Parameter(_initial_c(c_init, out_features, modes, vectors, generator).to(dtype))
        direct = _initial_d(out_features, in_features, generator).to(dtype) if feedthrough else None
        self.D = None if direct is None else nn.Parameter(direct)
        low, high = math.log(dt_min), math.log(dt_max)
        steps = uniform((kept, 1), generator, torch.float64)
        self.log_step = nn.Parameter((low + (high - low) * steps).to(dtype))

    def eigenvalues(self) -> Tensor:
        """Lambda as the forward pass uses it, (P,) complex; clipped where clip_eigs is set."""
        real = self.Lambda_re.clamp(max=LARGEST_REAL_PART) if self.clip_eigs else self.Lambda_re
        return torch.complex(real, self.Lambda_im)

    def rates(self) -> Tensor:
        """Lambda * step, (P,) complex, in 1 / ms."""
        return mode_rates(self.eigenvalues(), self.log_step, self.step_rescale)

    def input_matrix(self) -> Tensor:
        """B with the event-independent factor of the discretization, (2P, H_in): real rows, then imaginary rows."""
        gamma = constant_gamma(self.eigenvalues(), self.rates(), self.discretization)
        scaled = gamma.unsqueeze(1) * torch.view_as_complex(self.B)
        return torch.cat([scaled.real, scaled.imag])

    def output_matrix(self) -> Tensor:
        """C for planar states, (H_out, 2P), so that y = output_matrix @ [Re x; Im x]."""
        real, imaginary = self.C.unbind(-1)
        return (2 if self.conj_sym else 1) * torch.cat([real, -imaginary], dim=1)

    def output(self, read: Tensor, u: Tensor) -> Tensor:
        """C x + D u, (..., H_out), of C x (..., H_out) and u (..., H_in)."""
        if self.D is None:
            return read
        return read + (u * self.D if self.D.dim() == 1 else u @ self.D.mT)

    def forward(self, drive: Tensor | TableDrive, pooled_u: Tensor, times: EventTimes) -> Tensor:
        """Outputs of every window.

        Args:
            drive: ``u @ input_matrix().mT`` for each event, (B, L, 2P), or as a table over tokens.
            pooled_u: (B, n, H_in), the input pooled over each of the n = L // stride windows.
            times: the events' times.

        Returns:
            (B, n, H_out).
        """
        states = event_scan(self.rates(), times.intervals, drive, stride=self.stride, hold=self.discretization == "zoh")
        return self.output(states @ self.output_matrix().mT, pooled_u)

    def extra_repr(self) -> str:
        """The settings."""
        return f"modes={len(self.Lambda_re)}, {self.discretization}, stride={self.stride}, conj_sym={self.conj_sym}"


def _initial_d(out_features: int, in_features: int, generator: Generator | None) -> Tensor:
    """Initial D, (H,), or (H_out, H_in) where the widths differ, in float64."""
    if in_features == out_features:
        return normal((in_features,), 1.0, generator)
    return truncated_normal((out_features, in_features), math.sqrt(2 / (in_features + out_features)), generator)


def _initial_c(kind: str, out_features: int, modes: int, vectors: Tensor, generator: Generator | None) -> Tensor:
    """Initial C, (H_out, P, 2) in float64."""
    if kind == "complex_normal":
        return normal((out_features, vectors.shape[1], 2), math.sqrt(0.5), generator)
    fan_in = out_features * modes if kind == "lecun_normal" else modes
    values = truncated_normal((out_features, modes, 2), 1 / math.sqrt(fan_in), generator)
    return torch.view_as_real(torch.view_as_complex(values) @ vectors)
