"""The SpikingSSM classifier."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from ...errors import PumiceError
from ..adlif.blocks import aggregate
from ..host import check_tokens, whole_or_none
from ..modules import ModuleList
from .config import SpikingSSMConfig
from .layer import Block, LayerState, LayerTrace, uniform_linear


class SpikingSSM(nn.Module):
    """Linear encoder or embedding, blocks of spiking S4D layers, a linear decoder whose outputs are averaged over time.

    The published model decodes the mean over time; the decoder is linear, so the mean of what it decodes is the same.

    Modules: ``encoder`` (dense input) or ``embedding`` (tokens), ``blocks[i]`` with ``norm`` and ``layer`` (``kernel``,
    ``neuron``, ``output``), ``decoder``.

    With the head "retrieval", ``compare`` decides on two sequences: with the means a and b of their features,
    decoder(relu(match([a, b, a - b, a b]))), ``match`` a linear layer (Tay et al. 2021, Long Range Arena).

    Args:
        config: the settings.
        generator: of the initial values.
    """

    def __init__(self, config: SpikingSSMConfig, generator: Generator) -> None:
        super().__init__()
        self.config = config
        if config.vocab is not None:
            weight = torch.randn(config.vocab, config.d_model, generator=generator)
            self.embedding = nn.Embedding(config.vocab, config.d_model, _weight=weight)
        else:
            assert config.in_features is not None  # the settings demand one of both
            self.encoder = uniform_linear(config.in_features, config.d_model, generator)
        self.blocks = ModuleList(Block(config, generator) for _ in range(config.layers))
        if config.head == "retrieval":
            self.match = uniform_linear(4 * config.d_model, config.d_model, generator)
        self.decoder = uniform_linear(config.d_model, config.num_classes, generator)

    def forward(self, x: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits of the labelled stretches of a batch; the steps behind the last labelled one are padding.

        Args:
            x: (B, T, F), or tokens (B, T) int64.
            blocks: (B, T) int64 in [0, count), the stretch that each step belongs to; 0 is not labelled.
            count: number of stretches N.

        Returns:
            (B, N, C), the mean over the steps of each stretch.

        Raises:
            PumiceError: the model compares pairs of sequences.
        """
        if self.config.head == "retrieval":
            raise PumiceError("model.head=retrieval compares pairs of sequences; set model.head=mean for single ones")
        return aggregate(self.sequence(x, real_steps(blocks)), blocks, count, "mean")

    def sequence(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """What is decoded at every step, (B, T, C), from x; ``real`` (B, T) is 0 in the padding."""
        h = self.features(x, real)
        return (self.decoder.weight @ h.reshape(len(h), -1)).reshape(-1, *x.shape[:2]).movedim(0, 2) + self.decoder.bias

    def compare(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, C) of pairs of sequences; of models with the head "retrieval".

        Args:
            x: (B, 2, T, F), or tokens (B, 2, T) int64.
            lengths: (B, 2) int64, steps of each.

        Raises:
            PumiceError: the model has another head.
        """
        if self.config.head != "retrieval":
            raise PumiceError("pairs of sequences need a model that compares them; set model.head=retrieval")
        real = torch.arange(x.shape[2], device=x.device) < lengths.reshape(-1, 1)
        features = self.features(x.flatten(0, 1), real)
        mean = (features * real).sum(2) / lengths.reshape(-1).clamp(min=1)  # (H, 2 B)
        a, b = mean.mT.reshape(-1, 2, len(mean)).unbind(1)
        return self.decoder(torch.relu(self.match(torch.cat([a, b, a - b, a * b], dim=1))))

    def features(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """The residual stream behind the last block, (H, B, T), from x; ``real`` (B, T) is 0 in the padding."""
        h = self.encode(x)
        for block in self.blocks:
            h = block(h, real)
        return h

    def encode(self, x: Tensor) -> Tensor:
        """The residual stream before the first block, (H, B, T), from x (B, T, F), or tokens (B, T).

        Raises:
            PumiceError: input of another kind, or tokens that the model does not know.
        """
        expected = 3 if self.config.vocab is None else 2
        if x.dim() != expected:
            kind = "dense input (B, T, F)" if expected == 3 else "tokens (B, T)"
            raise PumiceError(f"the model reads {kind}, but got {x.dim()} axes; give it {expected} axes")
        if self.config.vocab is not None:
            check_tokens(x, self.config.vocab)
            return self.embedding(x).movedim(2, 0).contiguous()
        flat = x.reshape(-1, x.shape[2]).to(self.encoder.weight.dtype)
        mixed = torch.addmm(self.encoder.bias.unsqueeze(1), self.encoder.weight, flat.mT)
        return mixed.reshape(-1, *x.shape[:2])

    @torch.no_grad()
    def traces(self, x: Tensor, real: Tensor | None = None) -> list[LayerTrace]:
        """What each layer does with x (B, T, F), without dropout."""
        h, found = self.encode(x), []
        for block in self.blocks:
            found.append(block.layer.trace(block.before(h, real), real))
            h = block.after(h + found[-1].out, real)
        return found

    def initial_state(self, batch: int) -> list[LayerState]:
        """The states of the layers before the first step."""
        return [block.layer.initial_state(batch) for block in self.blocks]

    def step(self, x: Tensor, states: list[LayerState]) -> tuple[Tensor, list[LayerState]]:
        """One time step: x (B, F), or tokens (B,), and the states to what is decoded (B, C) and the next states.

        Raises:
            PumiceError: the model is in training mode, or reads sequences from both ends.
        """
        if self.training:
            raise PumiceError("step() runs in evaluation mode only; call eval() on the model first")
        if self.config.bidirectional:
            raise PumiceError("a bidirectional model needs the whole sequence; set bidirectional=false to stream")
        h = self.encode(x.unsqueeze(1)).squeeze(2)
        following = []
        for block, state in zip(self.blocks, states, strict=True):
            h, state = block.step(h, state)
            following.append(state)
        return self.decoder(h.mT), following


def real_steps(blocks: Tensor) -> Tensor | None:
    """1 up to the last labelled step of each sequence, 0 behind it, (B, T) bool; None where that is 1 everywhere."""
    whole = whole_or_none() if blocks.device.type != "cpu" else None
    if whole if whole is not None else bool((blocks[:, -1:] > 0).all()):
        return None
    return (blocks > 0).flip(1).cummax(1).values.flip(1)
