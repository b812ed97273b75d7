"""One layer: the SSM, pooling, norm, gate and residual stream."""

from __future__ import annotations

from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import dropout, gelu, relu

from ..s5.init import linear
from ..s5.norm import MaskedBatchNorm
from ..s5.times import EventTimes
from .config import RealS5Config
from .pool import OutputPool
from .ssm import RealS5SSM

LAYER_NORM_EPSILON = 1e-5
Norm = MaskedBatchNorm | nn.LayerNorm


class RealS5Layer(nn.Module):
    """Gated layer whose norm follows the SSM.

        u = x, or x sigmoid(input_gate(x));    y = pool(SSM(u));    y = norm(y)          (norm_place inside)
        y = y sigmoid(gate(gelu(y)));    out = skip(pool(x)) + y;    out = norm(out)     (norm_place after)

    GELU is the one with the error function. ``skip`` is a linear layer where the widths differ, else None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        modes: int,
        stride: int,
        config: RealS5Config,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.config = config
        self.ssm = RealS5SSM(in_features, out_features, modes, config, generator)
        self.input_gate = _input_gate(in_features, config.input_gate, generator)
        self.norm = _norm(config.norm, out_features)
        self.gate = linear(out_features, out_features, generator)
        changes = config.residual and in_features != out_features
        self.skip = linear(in_features, out_features, generator) if changes else None
        self.pool = OutputPool(stride, config.pooling)

    def forward(self, x: Tensor, times: EventTimes) -> tuple[Tensor, EventTimes]:
        """(B, L, H_in) and its times to (B, L // stride, H_out) and those of the windows."""
        y = self.pool(self.ssm(self.gated_input(x), times), times)
        pooled = self.pool(x, times)
        after = times.pooled(self.pool.stride) if self.pool.stride > 1 else times
        return self.combine(pooled, y, after.real), after

    def gated_input(self, x: Tensor) -> Tensor:
        """What the SSM reads of x (..., H_in)."""
        return x if self.input_gate is None else x * torch.sigmoid(self.input_gate(x))

    def gate_layers(self) -> list[nn.Linear]:
        """The linear layers of the gate on u, in order: none, one, or two where it is of low rank."""
        if self.input_gate is None:
            return []
        parts = self.input_gate if isinstance(self.input_gate, nn.Sequential) else [self.input_gate]
        return [cast(nn.Linear, part) for part in parts]

    def combine(self, pooled_x: Tensor, y: Tensor, real: Tensor) -> Tensor:
        """Norm and gate the SSM's pooled output y (..., H_out) and add the skip path from pooled_x (..., H_in).

        ``real`` (...) says which rows stand for events.
        """
        y = self._normalized(y, real) if self.config.norm_place == "inside" else y
        activated = gelu(y) if self.config.activation == "gelu" else relu(y)
        y = self._drop(y * torch.sigmoid(self.gate(self._drop(activated))))
        if self.config.residual:
            y = y + (pooled_x if self.skip is None else self.skip(pooled_x))
        return self._normalized(y, real) if self.config.norm_place == "after" else y

    def _normalized(self, y: Tensor, real: Tensor) -> Tensor:
        if self.norm is None:
            return y
        return self.norm(y, real) if isinstance(self.norm, MaskedBatchNorm) else self.norm(y)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.config.dropout, self.training)


def _norm(kind: str, width: int) -> Norm | None:
    if kind == "none":
        return None
    return MaskedBatchNorm(width) if kind == "batch" else nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)


def _input_gate(width: int, rank: int | None, generator: Generator) -> nn.Linear | nn.Sequential | None:
    if rank is None:
        return None
    if rank == 0:
        return linear(width, width, generator)
    return nn.Sequential(linear(width, rank, generator), linear(rank, width, generator))
