"""Normalisation before each SSM."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAYER_NORM_EPSILON = 1e-6


class MaskedBatchNorm(nn.Module):
    """Batch normalisation whose statistics count real events only.

    In training the mean and the biased variance are those of the batch, weighted; the running values move by
    ``momentum`` towards them, the variance biased as well (as in flax, unlike `torch.nn.BatchNorm1d`).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, eps: float = 1e-5, momentum: float = 0.05) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """Normalise x (..., H); ``counts`` (...) says how often each row occurs: 0 for padding, else 1 (or more)."""
        mean, variance = self._batch_statistics(x, counts) if self.training else (self.running_mean, self.running_var)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return x * scale + (self.bias - mean * scale)

    def _batch_statistics(self, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.reshape(-1, x.shape[-1])
        counts = counts.reshape(-1).to(x.dtype)
        total = counts.sum()
        shares = counts / total.clamp(min=1)
        mean = shares @ rows
        variance = shares @ (rows - mean).square()
        with torch.no_grad():
            momentum = self.momentum * (total > 0)
            self.running_mean.lerp_(mean.detach(), momentum)
            self.running_var.lerp_(variance.detach(), momentum)
        return mean, variance

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.weight.shape[0]}, eps={self.eps}, momentum={self.momentum}"


Norm = MaskedBatchNorm | nn.LayerNorm


def make_norm(kind: str, width: int) -> Norm | None:
    """The norm named by the configuration: "layer", "batch" or "none"."""
    if kind == "none":
        return None
    return MaskedBatchNorm(width) if kind == "batch" else nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)


def normalize(norm: Norm | None, x: Tensor, counts: Tensor) -> Tensor:
    """Apply any norm to x (..., H), whose rows occur ``counts`` (...) times."""
    if norm is None:
        return x
    return norm(x, counts) if isinstance(norm, MaskedBatchNorm) else norm(x)
