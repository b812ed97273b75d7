"""Seeded initial values of weights; without a generator zeros, to be loaded over."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

# Standard deviation of a unit normal truncated at two sigma: dividing by it restores the wished deviation.
TRUNCATED_DEVIATION = 0.87962566103423978


def truncated_normal(shape: tuple[int, ...], deviation: float, generator: Generator | None) -> Tensor:
    """Draw from a normal truncated at two sigma and rescaled to ``deviation``, in float64."""
    if generator is None:
        return torch.zeros(shape, dtype=torch.float64)
    values = torch.empty(shape, dtype=torch.float64)
    nn.init.trunc_normal_(values, 0.0, 1.0, -2.0, 2.0, generator=generator)
    return values * (deviation / TRUNCATED_DEVIATION)


def normal(shape: tuple[int, ...], deviation: float, generator: Generator | None) -> Tensor:
    """Draw from N(0, deviation^2), in float64."""
    if generator is None:
        return torch.zeros(shape, dtype=torch.float64)
    return torch.randn(shape, dtype=torch.float64, generator=generator) * deviation


def linear(in_features: int, out_features: int, generator: Generator | None) -> nn.Linear:
    """A linear layer with LeCun-normal weight and zero bias."""
    layer = nn.utils.skip_init(nn.Linear, in_features, out_features)
    with torch.no_grad():
        layer.weight.copy_(truncated_normal((out_features, in_features), 1 / math.sqrt(in_features), generator))
        layer.bias.zero_()
    return layer
