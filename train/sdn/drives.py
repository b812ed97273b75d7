"""Drives of a spiking neuron: what surrogate dynamic networks are trained and evaluated on."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

Draw = Callable[[Generator, int, int], Tensor]
"""Rows (samples, steps) of float32 from a generator, a number of rows and a length."""


def normal(mean: float = 0.0, std: float = 1.0) -> Draw:
    """Independent normal numbers: the published training data are N(0, 1)."""
    return lambda generator, samples, steps: mean + std * torch.randn(samples, steps, generator=generator)


def autoregressive(rho: float) -> Draw:
    """``x_t = rho x_{t-1} + sqrt(1 - rho^2) e_t`` with normal e, stationary with variance 1: slow drives."""

    def draw(generator: Generator, samples: int, steps: int) -> Tensor:
        noise = torch.randn(steps, samples, generator=generator)
        scale = math.sqrt(1 - rho * rho)
        for t in range(1, steps):
            noise[t].mul_(scale).add_(noise[t - 1], alpha=rho)
        return noise.T.contiguous()

    return draw


def near_threshold(tau: float, lowest: float = 0.003, highest: float = 0.3) -> Draw:
    """A level a row around the band (1 - tau, 1), where memory decides, with noise of a width a row.

    Levels are uniform over the band, widened by a quarter on either side; widths log-uniform.
    """

    def draw(generator: Generator, samples: int, steps: int) -> Tensor:
        level = 1 - tau * (1.25 - 1.5 * torch.rand(samples, 1, generator=generator))
        span = math.log(highest / lowest)
        width = lowest * torch.exp(span * torch.rand(samples, 1, generator=generator))
        return level + width * torch.randn(samples, steps, generator=generator)

    return draw


def wide(tau: float) -> Draw:
    """Normal numbers of a mean a row in (-1, 1) and a deviation a row in (0.1, 3)."""
    del tau

    def draw(generator: Generator, samples: int, steps: int) -> Tensor:
        mean = 2 * torch.rand(samples, 1, generator=generator) - 1
        std = 0.1 * torch.exp(math.log(30) * torch.rand(samples, 1, generator=generator))
        return mean + std * torch.randn(samples, steps, generator=generator)

    return draw


def mixed(tau: float) -> Draw:
    """Rows of N(0, 1) (0.4), slow drives (0.2), near the threshold (0.25) and of other widths (0.15)."""
    parts: list[tuple[float, Draw]] = [
        *((0.2 / 3, autoregressive(rho)) for rho in (0.5, 0.9, 0.99)),
        (0.25, near_threshold(tau)),
        (0.15, wide(tau)),
    ]

    def draw(generator: Generator, samples: int, steps: int) -> Tensor:
        rows = [part(generator, int(samples * share), steps) for share, part in parts]
        return torch.cat([*rows, normal()(generator, samples - sum(map(len, rows)), steps)])

    return draw


def constant(tau: float) -> Draw:
    """Levels that do not change, evenly over the band (1 - tau, 1)."""

    def draw(generator: Generator, samples: int, steps: int) -> Tensor:
        levels = 1 - tau + tau * torch.arange(1, samples + 1) / (samples + 1)
        return levels[:, None].repeat(1, steps)

    return draw


def level(tau: float, width: float) -> Draw:
    """A level a row, uniform over the band (1 - tau, 1), and normal noise."""

    def draw(generator: Generator, samples: int, steps: int) -> Tensor:
        levels = 1 - tau * torch.rand(samples, 1, generator=generator)
        return levels + width * torch.randn(samples, steps, generator=generator)

    return draw
