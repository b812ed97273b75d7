"""The classifier with real decays."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from ...errors import PumiceError
from ..host import check_tokens
from ..modules import ModuleList
from ..s5.init import linear, normal
from ..s5.stepping import first_event
from ..s5.times import EventTimes, event_times
from .config import RealS5Config
from .head import read_out
from .layer import RealS5Layer
from .stepping import LayerState, ReadState, step_layer, step_read_out


class ModelState(NamedTuple):
    """What the model remembers of B streams: of its layers in order, and of the read-out."""

    layers: tuple[LayerState, ...]
    read_out: ReadState


class RealS5Classifier(nn.Module):
    """Embedding (or linear encoder), stages of layers with real decays, read-out and decoder.

    Modules: ``embedding`` (token input) or ``encoder`` (dense input), ``layers`` of all stages in order with ``ssm``,
    ``input_gate``, ``norm``, ``gate`` and ``skip``, ``attention`` (head attnpool) and ``decoder``.
    """

    def __init__(self, config: RealS5Config, generator: Generator | None = None) -> None:
        """Build the model.

        Args:
            config: its settings.
            generator: source of the initial weights; one with seed 0 if not given.
        """
        super().__init__()
        generator = Generator().manual_seed(0) if generator is None else generator
        self.config = config
        width, modes = config.d_model, config.d_ssm
        if config.vocab is not None:
            self.embedding = nn.Embedding(config.vocab, width, _weight=torch.empty(config.vocab, width))
            with torch.no_grad():
                self.embedding.weight.copy_(normal((config.vocab, width), 1 / math.sqrt(width), generator))
        else:
            assert config.in_features is not None
            self.encoder = linear(config.in_features, width, generator)
        layers = []
        for stage in range(config.stages):
            for index in range(config.layers_per_stage):
                out = width * config.expansion if stage > 0 and index == 0 else width
                modes = modes * config.expansion if out != width else modes
                stride = config.stride if index == 0 else 1
                layers.append(RealS5Layer(width, out, modes, stride, config, generator))
                width = out
        self.layers = ModuleList(layers)
        self.attention = linear(width, 1, generator) if config.head == "attnpool" else None
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
        x, times = self.encode(tokens, dt, lengths, pool_dt)
        scores = None if self.attention is None else self.attention(x).squeeze(-1)
        return self.decoder(read_out(x, times, self.config.head, scores))

    def running(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None, heard: Tensor) -> Tensor:
        """Logits (B, K, num_classes) of the first ``heard`` (B, K) events; see `S5Classifier.running`."""
        x, times = self.encode(tokens, dt, lengths, pool_dt)
        scores = None if self.attention is None else self.attention(x).squeeze(-1)
        counts = heard // self.config.stride**self.config.stages
        parts = [replace(times, lengths=count) for count in counts.unbind(1)]
        return self.decoder(torch.stack([read_out(x, part, self.config.head, scores) for part in parts], dim=1))

    def encode(
        self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None
    ) -> tuple[Tensor, EventTimes]:
        """The encoder's outputs (B, N, H), N = L // stride**stages, and their times; arguments as `forward`."""
        times = event_times(tokens, dt, lengths, pool_dt, self.config.token_input, self.decoder.weight.dtype)
        if self.config.token_input:
            tokens = torch.where(times.real, tokens, 0)
            check_tokens(tokens, self.embedding.num_embeddings)
            x = self.embedding(tokens)
        else:
            x = self.encoder(tokens.to(self.encoder.weight.dtype))
        for layer in self.layers:
            x, times = layer(x, times)
        return x, times

    def init_state(self, batch: int) -> ModelState:
        """The state of ``batch`` streams before their first event."""
        zeros = self.decoder.weight.detach().new_zeros
        layers = tuple(LayerState.zero(layer, batch) for layer in self.layers)
        return ModelState(layers, ReadState(zeros(batch, self.decoder.in_features), zeros(batch), zeros(batch)))

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
            PumiceError: the model is in training mode, or its recurrence needs whole sequences.
        """
        if self.training or self.config.recurrence != "exact":
            raise PumiceError(
                "step() runs in evaluation mode with the exact recurrence only; call eval() on such a model"
            )
        source = self.embedding if self.config.token_input else self.encoder
        event, states = first_event(source, self.config.vocab, token, dt, pool_dt, valid), []
        for layer, before in zip(self.layers, state.layers, strict=True):
            event, after = step_layer(layer, event, before)
            states.append(after)
        score = None if self.attention is None else self.attention(event.value).squeeze(-1)
        read = step_read_out(self.config.head, event, score, state.read_out)
        return event.value, event.valid, ModelState(tuple(states), read)

    def readout(self, state: ModelState) -> Tensor:
        """Logits (B, num_classes) of what the streams have shown so far."""
        total, weight, _ = state.read_out
        return self.decoder(total / torch.where(weight > 0, weight, 1).unsqueeze(1))
