"""Initial values and shapes that families share."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor


def uniform(shape: tuple[int, ...], generator: Generator | None, dtype: torch.dtype | None = None) -> Tensor:
    """Draw from U(0, 1); without a generator zeros, to be loaded over."""
    return torch.zeros(shape, dtype=dtype) if generator is None else torch.rand(shape, dtype=dtype, generator=generator)


Shape = tuple[str, tuple[int, ...]]
"""Name and shape of a tensor."""


def linear_shapes(name: str, in_features: int, out_features: int) -> Iterator[Shape]:
    """Of `torch.nn.Linear`."""
    yield f"{name}.weight", (out_features, in_features)
    yield f"{name}.bias", (out_features,)
