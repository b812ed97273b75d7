"""The event-SSM classifier."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from ...errors import PumiceError
from .config import S5Config
from .head import read_out
from .init import linear, normal
from .layer import EmbeddedTokens, Stage
from .times import EventTimes


class S5Classifier(nn.Module):
    """Embedding (or linear encoder), stages of S5 layers, read-out and decoder (Schoene et al. 2024).

    Modules: ``embedding`` (token input) or ``encoder`` (dense input), ``stages[i].layers[j]`` with ``norm``, ``ssm``,
    ``gate``, ``skip`` and ``pool``, and ``decoder``.
    """

    def __init__(self, config: S5Config, generator: Generator | None = None) -> None:
        """Build the model.

        Args:
            config: its settings.
            generator: source of the initial weights; one with seed 0 if not given.
        """
        super().__init__()
        generator = Generator().manual_seed(0) if generator is None else generator
        self.config = config
        width, modes = config.d_model, config.d_ssm
        if config.token_input:
            self.embedding = nn.Embedding(config.vocab, width, _weight=torch.empty(config.vocab, width))
            with torch.no_grad():
                self.embedding.weight.copy_(normal((config.vocab, width), 1 / math.sqrt(width), generator))
        else:
            self.encoder = linear(config.in_features, width, generator)
        self.stages = nn.ModuleList()
        for index in range(config.stages):
            in_features = width
            if index > 0:
                width, modes = width * config.expansion, modes * config.expansion
            self.stages.append(Stage(in_features, width, modes, config, generator))
        self.decoder = linear(width, config.num_classes, generator)

    def forward(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None) -> Tensor:
        """Classify padded sequences of events.

        Args:
            tokens: (B, L) int64, padded at the end with -1; or dense input (B, L, d_in).
            dt: (B, L) ms, the decay interval before each event; 0 in the padding.
            lengths: (B,) int64, real events.
            pool_dt: (B, L) ms, the weights of timepool; dt if not given.

        Returns:
            logits (B, num_classes). A sample without a complete window gives the decoder's bias.
        """
        x, times, total_time = self.encode(tokens, dt, lengths, pool_dt)
        return self.decoder(read_out(x, times, total_time, self.config.head))

    def encode(
        self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None
    ) -> tuple[Tensor, EventTimes, Tensor]:
        """The encoder's outputs; arguments as `forward`.

        Returns:
            x (B, N, H), N = L // stride**stages; the times of these windows, whose ``lengths`` count the complete
            ones; and the total time of each sample, (B,) ms.
        """
        times = self._times(tokens, dt, lengths, pool_dt)
        total_time = times.pool_dt.sum(1)
        x = self._embed(tokens, times)
        for stage in self.stages:
            x, times = stage(x, times)
        return x, times, total_time

    def _embed(self, tokens: Tensor, times: EventTimes) -> Tensor | EmbeddedTokens:
        if not self.config.token_input:
            return self.encoder(tokens.to(self.encoder.weight.dtype))
        tokens = torch.where(times.real, tokens, 0)  # padding reads row 0; nothing that reads it reaches an output
        lowest, highest = (int(bound) for bound in tokens.aminmax()) if tokens.numel() else (0, 0)
        if lowest < 0 or highest >= self.config.vocab:
            raise PumiceError(
                f"tokens span {lowest} to {highest}, but the model knows 0 to {self.config.vocab - 1}; "
                "set vocab to the channels of the sensor"
            )
        embedded = EmbeddedTokens(tokens, self.embedding.weight)
        # A table over the vocabulary saves work only where the batch has more events than the vocabulary has tokens.
        return embedded if tokens.numel() >= self.config.vocab else embedded.dense()

    def _times(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None) -> EventTimes:
        dtype = self.decoder.weight.dtype
        pool_dt = dt if pool_dt is None else pool_dt
        expected = 2 if self.config.token_input else 3
        if tokens.dim() != expected:
            kind = "tokens (B, L)" if self.config.token_input else "dense input (B, L, d_in)"
            raise PumiceError(f"the model reads {kind}, but got {tokens.dim()} axes; give it {expected} axes")
        if dt.shape != tokens.shape[:2] or pool_dt.shape != dt.shape or lengths.shape != dt.shape[:1]:
            raise PumiceError(
                f"input of shape {tuple(tokens.shape)} does not fit dt {tuple(dt.shape)}, "
                f"pool_dt {tuple(pool_dt.shape)} and lengths {tuple(lengths.shape)}; they are (B, L), (B, L) and (B,)"
            )
        return EventTimes(dt.to(dtype), pool_dt.to(dtype), lengths)
