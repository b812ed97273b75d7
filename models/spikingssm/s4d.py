"""S4D: a diagonal state space for each channel (Gu et al. 2022, arXiv 2206.11893)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

KERNELS = ("s4d-lin", "trainable-b")


class Modes(NamedTuple):
    """A discrete diagonal state space of H channels of M modes each.

        x_k = exp(rate) x_{k-1} + u_k;   y_k = 2 Re(sum_m C x_k) + D u_k

    Attributes:
        rate: (H, M) complex, dt A: the logarithm of the decay of a step.
        C: (H, M) complex, with everything in it that is constant: B, the discretization, a scale of the output.
        D: (H,).
    """

    rate: Tensor
    C: Tensor
    D: Tensor


class S4D(nn.Module):
    """S4D-Lin, one state space a channel (Gu et al. 2022; Shen et al. 2024, section 3).

    A = -exp(log_A_real) + i A_imag, held by zero order: x_k = exp(dt A) x_{k-1} + (exp(dt A) - 1) / A B u_k.
    ``A_imag`` starts at pi m, the real parts at -1/2, ``dt`` log-uniform; B is 1 or, in the kernel ``trainable-b``,
    starts there.

    Args:
        channels: H.
        modes: M, half of the paper's N.
        kernel: one of ``KERNELS``.
        dt_min: smallest initial dt.
        dt_max: largest initial dt.
        bidirectional: with a second C, of the state that runs backwards from the end of the sequence.
        generator: of the initial values.
    """

    B: Tensor | None
    C_back: Tensor | None

    def __init__(
        self,
        channels: int,
        modes: int,
        *,
        kernel: str,
        dt_min: float,
        dt_max: float,
        bidirectional: bool = False,
        generator: Generator,
    ) -> None:
        super().__init__()
        low, high = math.log(dt_min), math.log(dt_max)
        dtype = torch.get_default_dtype()
        shape = channels, modes
        self.log_dt = nn.Parameter(low + (high - low) * torch.rand(channels, dtype=dtype, generator=generator))
        self.log_A_real = nn.Parameter(torch.full(shape, math.log(0.5), dtype=dtype))
        self.A_imag = nn.Parameter((math.pi * torch.arange(modes, dtype=dtype)).repeat(channels, 1))
        self.C = nn.Parameter(_complex_normal(shape, generator))
        self.register_parameter("C_back", nn.Parameter(_complex_normal(shape, generator)) if bidirectional else None)
        self.D = nn.Parameter(torch.randn(channels, dtype=dtype, generator=generator))
        if kernel == "trainable-b":
            self.B = nn.Parameter(torch.tensor([1.0, 0.0], dtype=dtype).repeat(*shape, 1))
        else:
            self.register_parameter("B", None)

    def eigenvalues(self) -> Tensor:
        """A, (H, M) complex."""
        return torch.complex(-torch.exp(self.log_A_real), self.A_imag)

    def discrete(self, scale: Tensor | None = None) -> Modes:
        """The recurrence, its output multiplied with ``scale`` (H,); 1 if not given."""
        return self._modes(self.C, self.D, scale)

    def discrete_back(self, scale: Tensor | None = None) -> Modes:
        """The recurrence that runs backwards, which has no D; of bidirectional state spaces."""
        assert self.C_back is not None
        return self._modes(self.C_back, torch.zeros_like(self.D), scale)

    def _modes(self, C: Tensor, D: Tensor, scale: Tensor | None) -> Modes:
        A = self.eigenvalues()
        rate = A * torch.exp(self.log_dt).unsqueeze(1)
        C = torch.view_as_complex(C) * (torch.exp(rate) - 1) / A
        if self.B is not None:
            C = C * torch.view_as_complex(self.B)
        if scale is None:
            return Modes(rate, C, D)
        return Modes(rate, C * scale.unsqueeze(1), D * scale)

    def extra_repr(self) -> str:
        """The settings."""
        channels, modes = self.A_imag.shape
        return f"channels={channels}, modes={modes}, kernel={'s4d-lin' if self.B is None else 'trainable-b'}"


def _complex_normal(shape: tuple[int, int], generator: Generator) -> Tensor:
    """Real and imaginary parts, (H, M, 2), of complex numbers of variance 1."""
    return torch.randn(*shape, 2, dtype=torch.get_default_dtype(), generator=generator) * math.sqrt(0.5)
