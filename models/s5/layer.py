"""One layer and one stage of the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import dropout, embedding_bag, gelu, linear, relu

from ..modules import ModuleList
from ..scan.event import TableDrive
from .config import S5Config
from .init import linear as make_linear
from .norm import make_norm, normalize
from .pool import EventPool
from .ssm import S5SSM
from .times import EventTimes, windows


class EmbeddedTokens(NamedTuple):
    """Input of the first layer: ``embedding[tokens]``, not yet looked up.

    Attributes:
        tokens: (B, L) int64 in [0, V); padding holds any token.
        embedding: (V, H).
    """

    tokens: Tensor
    embedding: Tensor

    def dense(self) -> Tensor:
        """One vector for each event, (B, L, H)."""
        return self.embedding[self.tokens]


class EventLayer(nn.Module, ABC):
    """Pre-normalised residual layer of a state space that reads events: what its kinds share.

        u = norm(x);  y = SSM(u);  out = skip(pool(x)) + f(y)

    ``skip`` is a linear layer where the widths differ, else None. Settings may
    leave out the norm, D and the sum. One dropout mask is shared over time.
    """

    carries: bool = False
    """Whether f remembers something from window to window, a number a channel."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        modes: int,
        stride: int,
        config: S5Config,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        self.norm = make_norm(config.norm, in_features)
        self.ssm = S5SSM(
            in_features,
            out_features,
            modes,
            block_size=config.block_size,
            stride=stride,
            conj_sym=config.conj_sym,
            clip_eigs=config.clip_eigs,
            discretization=config.discretization,
            dt_min=config.dt_min,
            dt_max=config.dt_max,
            c_init=config.c_init,
            step_rescale=config.step_rescale,
            feedthrough=config.feedthrough,
            generator=generator,
        )
        self.make_output(out_features, config, generator)
        self.residual = config.residual
        changes = config.residual and in_features != out_features
        self.skip = make_linear(in_features, out_features, generator) if changes else None
        self.pool = EventPool(stride, config.pooling)
        self.dropout = config.dropout

    @abstractmethod
    def make_output(self, width: int, config: S5Config, generator: Generator | None) -> None:
        """Add the modules of f."""

    @property
    @abstractmethod
    def mixing(self) -> nn.Linear:
        """The linear layer of f."""

    def scale(self) -> Tensor | None:
        """What f multiplies y with before all else, (H_out,); None: it does not."""
        return None

    @abstractmethod
    def combine(self, pooled_x: Tensor, y: Tensor) -> Tensor:
        """``skip(pool(x)) + f(y)``, (B, n, H_out), of pooled_x (B, n, H_in) and the SSM's output y (B, n, H_out)."""

    def combine_step(self, pooled_x: Tensor, y: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """`combine` of one window, (B, H_in) and (B, H_out), with what f remembers, (B, H_out) or (B, 0)."""
        return self.combine(pooled_x, y), carried

    def added(self, pooled_x: Tensor, value: Tensor) -> Tensor:
        """``skip(pooled_x) + value``, of (..., H_in) and (..., H_out); ``value`` alone without a residual path."""
        if not self.residual:
            return value
        return (pooled_x if self.skip is None else self.skip(pooled_x)) + value

    def forward(self, x: Tensor | EmbeddedTokens, times: EventTimes) -> Tensor:
        """(B, L, H_in) to (B, L // stride, H_out)."""
        if isinstance(x, EmbeddedTokens):
            return self._forward_tokens(*x, times)
        u = normalize(self.norm, x, times.real)
        drive = linear(u, self.ssm.input_matrix())
        y = self.ssm(drive, self.pool(u, times), times)
        return self.combine(self.pool(x, times), y)

    def _forward_tokens(self, tokens: Tensor, embedding: Tensor, times: EventTimes) -> Tensor:
        """The same as ``forward(embedding[tokens], times)``, computed once for each token of the vocabulary.

        Between the embedding (V, H_in) and the SSM everything acts on single events, so the norm and the product
        with B make a table with one row for each token.
        """
        counts = tokens.new_zeros(len(embedding)).scatter_add_(
            0, tokens.flatten(), times.real.flatten().to(tokens.dtype)
        )
        u = normalize(self.norm, embedding, counts)
        drive = TableDrive(linear(u, self.ssm.input_matrix()), tokens)
        pooled = self._pool_tokens(tokens, torch.cat([embedding, u], dim=1), times)
        pooled_x, pooled_u = pooled.chunk(2, dim=-1)
        return self.combine(pooled_x, self.ssm(drive, pooled_u, times))

    def drop(self, x: Tensor) -> Tensor:
        """Dropout of x (B, n, H)."""
        if not self.training or self.dropout == 0:
            return x
        return x * dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.dropout)

    def _pool_tokens(self, tokens: Tensor, table: Tensor, times: EventTimes) -> Tensor:
        """``pool(table[tokens])`` without the (B, L, H) tensor in between."""
        stride = self.pool.stride
        if stride == 1:
            return table[tokens]
        parts = windows(tokens, stride)
        if self.pool.pooling == "last":
            return table[parts[:, :, 0]]
        weights = self.pool.weights(times)
        if weights is None:
            weights = torch.full(parts.shape, 1 / stride, dtype=table.dtype, device=table.device)
        bags = embedding_bag(
            parts.flatten(0, 1), table, mode="sum", per_sample_weights=weights.to(table.dtype).flatten(0, 1)
        )
        return bags.reshape(*parts.shape[:2], table.shape[1])


class SequenceLayer(EventLayer):
    """The layer of S5 (Schoene et al. 2024, figure 2), gated.

        f(y) = dropout(y sigmoid(gate(dropout(gelu(y)))))

    GELU is the tanh form; ReLU may stand in its place.
    """

    gate: nn.Linear
    activation: str

    def make_output(self, width: int, config: S5Config, generator: Generator | None) -> None:
        """See `EventLayer.make_output`."""
        self.gate, self.activation = make_linear(width, width, generator), config.activation

    @property
    def mixing(self) -> nn.Linear:
        """See `EventLayer.mixing`."""
        return self.gate

    def combine(self, pooled_x: Tensor, y: Tensor) -> Tensor:
        """See `EventLayer.combine`."""
        activated = relu(y) if self.activation == "relu" else gelu(y, approximate="tanh")
        gate = self.gate(self.drop(activated))
        return self.added(pooled_x, self.drop(y * torch.sigmoid(gate)))


Layer = TypeVar("Layer", bound=EventLayer)


class Stage(nn.Module, Generic[Layer]):
    """A run of layers, the first of which pools and changes the width."""

    def __init__(
        self,
        kind: type[Layer],
        in_features: int,
        out_features: int,
        modes: int,
        config: S5Config,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        self.layers = ModuleList(
            kind(
                in_features if index == 0 else out_features,
                out_features,
                modes,
                config.stride if index == 0 else 1,
                config,
                generator,
            )
            for index in range(config.layers_per_stage)
        )

    def forward(self, x: Tensor | EmbeddedTokens, times: EventTimes) -> tuple[Tensor, EventTimes]:
        """Run the stage.

        Args:
            x: (B, L, H_in), or tokens with their embedding.
            times: times of the L events.

        Returns:
            (B, n, H_out) and the times of the n = L // stride windows.
        """
        first, *others = self.layers
        y: Tensor = first(x, times)
        times = times.pooled(first.pool.stride)
        for layer in others:
            y = layer(y, times)
        return y, times
