"""The event-SSM classifier."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, Generic, NamedTuple

import torch
from torch import Generator, Tensor, nn

from ...errors import PumiceError
from ..host import check_tokens
from ..modules import ModuleList
from .config import STEPS, S5Config
from .head import NEWEST, read_out, timepool_divisor, update_read_out
from .init import linear, normal
from .layer import EmbeddedTokens, EventLayer, Layer, SequenceLayer, Stage
from .stepping import LayerState, first_event, step_layer
from .times import EventTimes, event_times


class ModelState(NamedTuple):
    """What the model remembers of B streams.

    Attributes:
        layers: the layers' states, in order.
        read_out: (B, H), the read-out's running sum over the encoder's outputs (heads "last" and "steps": the newest).
        count: (B,) int64, encoder outputs so far.
        total_time: (B,) ms, sum of pool_dt over all events.
    """

    layers: tuple[LayerState, ...]
    read_out: Tensor
    count: Tensor  # type: ignore[assignment]
    total_time: Tensor


class EventClassifier(nn.Module, Generic[Layer]):
    """Embedding (or linear encoder), stages of layers of one kind, read-out and decoder (Schoene et al. 2024).

    Modules: ``embedding`` (token input) or ``encoder`` (dense input), ``stages[i].layers[j]`` with ``norm``, ``ssm``,
    ``skip``, ``pool`` and what their kind adds, and ``decoder``.
    """

    kind: ClassVar[type[EventLayer]]
    stages: ModuleList[Stage[Layer]]

    def __init__(self, config: S5Config, generator: Generator | None = None, *, initial: bool = True) -> None:
        """Build the model.

        Args:
            config: its settings.
            generator: source of the initial weights; one with seed 0 if not given.
            initial: False for zeros in their place, to be loaded over.
        """
        super().__init__()
        if initial and generator is None:
            generator = Generator().manual_seed(0)
        self.config = config
        width, modes = config.d_model, config.d_ssm
        if config.vocab is not None:
            self.embedding = nn.Embedding(config.vocab, width, _weight=torch.empty(config.vocab, width))
            with torch.no_grad():
                self.embedding.weight.copy_(normal((config.vocab, width), 1 / math.sqrt(width), generator))
        else:
            assert config.in_features is not None
            self.encoder = linear(config.in_features, width, generator)
        stages: list[Stage[Layer]] = []
        kind: type[Layer] = self.kind  # type: ignore[assignment]  # a class variable has no type of its own class
        for index in range(config.stages):
            in_features = width
            if index > 0:
                width, modes = width * config.expansion, modes * config.expansion
            stages.append(Stage(kind, in_features, width, modes, config, generator))
        self.stages = ModuleList(stages)
        self.decoder = linear(width, config.num_classes, generator)

    @property
    def layers(self) -> list[Layer]:
        """The layers of all stages, in order."""
        return [layer for stage in self.stages for layer in stage.layers]

    def forward(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None) -> Tensor:
        """Classify padded sequences of events.

        Args:
            tokens: (B, L) int64, padded at the end with -1; or dense input (B, L, d_in).
            dt: (B, L) ms, the decay interval before each event; 0 in the padding.
            lengths: (B,) int64, real events.
            pool_dt: (B, L) ms, the weights of timepool; dt if not given.

        Returns:
            logits (B, num_classes). A sample without a complete window gives the decoder's bias. With head "steps"
            those of every window, (B, N, num_classes), N = L // window; beyond a sample's complete windows they mean
            nothing.
        """
        x, times, total_time = self.encode(tokens, dt, lengths, pool_dt)
        if self.config.head == STEPS:
            return self.decoder(x)
        return self.decoder(read_out(x, times, total_time, self.config.head))

    def running(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None, heard: Tensor) -> Tensor:
        """Logits of the beginnings of sequences, from one pass over them.

        Args:
            tokens, dt, lengths, pool_dt: as of `forward`.
            heard: (B, K) int64, events of each beginning, at most ``lengths``.

        Returns:
            (B, K, num_classes), what `forward` gives of each beginning; with head "steps" its last answer, or 0.
        """
        x, times, _ = self.encode(tokens, dt, lengths, pool_dt)
        spans = (dt if pool_dt is None else pool_dt).to(x.dtype).cumsum(1)
        spans = torch.cat([spans.new_zeros(len(spans), 1), spans], dim=1).gather(1, heard)
        counts = heard // self.config.stride**self.config.stages
        parts = [replace(times, lengths=count) for count in counts.unbind(1)]
        read = [read_out(x, part, spans[:, place], self.config.head) for place, part in enumerate(parts)]
        return self._said(torch.stack(read, dim=1), counts)

    def encode(
        self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None
    ) -> tuple[Tensor, EventTimes, Tensor]:
        """The encoder's outputs; arguments as `forward`.

        Returns:
            x (B, N, H), N = L // stride**stages; the times of these windows, whose ``lengths`` count the complete
            ones; and the total time of each sample, (B,) ms.
        """
        times = event_times(tokens, dt, lengths, pool_dt, self.config.token_input, self.decoder.weight.dtype)
        total_time = times.pool_dt.sum(1)
        first, *others = self.stages
        x, times = first(self._embed(tokens, times), times)
        for stage in others:
            x, times = stage(x, times)
        return x, times, total_time

    def init_state(self, batch: int) -> ModelState:
        """The state of ``batch`` streams before their first event."""
        width = self.decoder.in_features
        zeros = self.decoder.weight.detach().new_zeros
        return ModelState(
            tuple(LayerState.zero(layer, batch) for layer in self.layers),
            zeros(batch, width),
            torch.zeros(batch, dtype=torch.int64, device=self.decoder.weight.device),
            zeros(batch),
        )

    def step(
        self, token: Tensor, dt: Tensor, state: ModelState, pool_dt: Tensor | None = None, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor, ModelState]:
        """Feed one event to each of B streams; the outputs are those of `encode`, event by event.

        Args:
            token: (B,) int64, or dense input (B, d_in).
            dt: (B,) ms, the decay interval before the event.
            state: from `init_state` or the step before; it is not changed.
            pool_dt: (B,) ms; dt if not given.
            valid: (B,) bool; an invalid event changes no state. All are valid if not given.

        Returns:
            The encoder's output (B, H), whether each is one (B,), and the new state, which `readout` reads.

        Raises:
            PumiceError: the model is in training mode, where dropout and batch statistics need whole sequences.
        """
        if self.training:
            raise PumiceError("step() runs in evaluation mode only; call eval() on the model first")
        source = self.embedding if self.config.token_input else self.encoder
        event = first_event(source, self.config.vocab, token, dt, pool_dt, valid)
        pool_dt = event.pool_dt
        layer_states = []
        for layer, layer_state in zip(self.layers, state.layers, strict=True):
            event, following = step_layer(layer, event, layer_state)
            layer_states.append(following)
        read = update_read_out(state.read_out, event.value, event.pool_dt, event.valid, self.config.head)
        return (
            event.value,
            event.valid,
            ModelState(tuple(layer_states), read, state.count + event.valid, state.total_time + pool_dt),
        )

    def readout(self, state: ModelState) -> Tensor:
        """Logits (B, num_classes) of what the streams have shown so far; with head "steps" the last ones, or 0."""
        divisor = {
            "pool": state.count.clamp(min=1),
            "timepool": timepool_divisor(state.total_time, state.count),
            **dict.fromkeys(NEWEST, torch.ones_like(state.count)),
        }[self.config.head]
        return self._said(state.read_out / divisor.to(state.read_out.dtype).unsqueeze(1), state.count)

    def _said(self, read: Tensor, count: Tensor) -> Tensor:
        """Logits (B, ..., C) of what was read out (B, ..., H) after so many outputs (B, ...)."""
        logits = self.decoder(read)
        return logits * (count > 0).unsqueeze(-1) if self.config.head == STEPS else logits

    def _embed(self, tokens: Tensor, times: EventTimes) -> Tensor | EmbeddedTokens:
        if not self.config.token_input:
            return self.encoder(tokens.to(self.encoder.weight.dtype))
        tokens = torch.where(times.real, tokens, 0)  # padding reads row 0; nothing that reads it reaches an output
        check_tokens(tokens, self.embedding.num_embeddings)
        embedded = EmbeddedTokens(tokens, self.embedding.weight)
        # A table over the vocabulary saves work only where the batch has more events than the vocabulary has tokens.
        return embedded if tokens.numel() >= self.embedding.num_embeddings else embedded.dense()


class S5Classifier(EventClassifier[SequenceLayer]):
    """The classifier of gated S5 layers; each has ``gate`` besides."""

    kind = SequenceLayer
