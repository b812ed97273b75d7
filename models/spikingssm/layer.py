"""One spiking layer, and the block that it makes with a norm and a residual."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import dropout, glu, pad

from ..spikes import SpikeTap
from .config import SpikingSSMConfig
from .convolution import convolve
from .neuron import SpikingNeuron
from .norm import ChannelNorm, make_norm
from .s4d import S4D


class LayerState(NamedTuple):
    """What a layer remembers of B streams: x (H, B, M) complex, and the neurons' potentials u (H, B)."""

    x: Tensor
    u: Tensor


class LayerTrace(NamedTuple):
    """What a layer does with its input: the neurons' scaled input, their spikes, and the layer's output, (H, B, L)."""

    current: Tensor
    spikes: Tensor
    out: Tensor


class SpikingS4D(nn.Module):
    """S4D, spiking neurons, and a gated linear layer that alone sees the spikes (Shen et al. 2024).

        I = (C x + D u) / v;   z = neuron(I);   out = glu(W dropout(z) + b)

    Args:
        config: the settings.
        generator: of the initial values.
    """

    def __init__(self, config: SpikingSSMConfig, generator: Generator) -> None:
        super().__init__()
        channels = config.d_model
        self.kernel = S4D(
            channels,
            config.d_state // 2,
            kernel=config.kernel,
            dt_min=config.dt_min,
            dt_max=config.dt_max,
            bidirectional=config.bidirectional,
            generator=generator,
        )
        self.neuron = SpikingNeuron.of(config, channels)
        self.output = uniform_linear(channels, 2 * channels, generator)
        self.dropout = config.dropout
        self.convolution = config.convolution
        self.tap = SpikeTap()

    def forward(self, u: Tensor, real: Tensor | None = None) -> Tensor:
        """(H, B, L) to (H, B, L); ``real`` (B, L) is 0 in the padding, None where there is none."""
        spikes = self.neuron(self.current(u, real))
        self.tap(spikes.permute(1, 2, 0))
        return self.read(drop(spikes, self.dropout, self.training))

    def trace(self, u: Tensor, real: Tensor | None = None) -> LayerTrace:
        """The same without dropout, with what is computed on the way."""
        current = self.current(u, real)
        spikes = self.neuron(current)
        return LayerTrace(current, spikes, self.read(spikes))

    def current(self, u: Tensor, real: Tensor | None = None) -> Tensor:
        """The neurons' scaled input (H, B, L) from u (H, B, L)."""
        scale = self.neuron.scale()
        forwards = convolve(self.kernel.discrete(scale), u, self.convolution)
        if self.kernel.C_back is None:
            return forwards
        reversed_u = (u if real is None else u * real).flip(2)
        backwards = convolve(self.kernel.discrete_back(scale), reversed_u, self.convolution).flip(2)
        return forwards + pad(backwards[..., 1:], (0, 1))

    def read(self, spikes: Tensor) -> Tensor:
        """The gated linear layer, (H, ...) to (H, ...)."""
        flat = spikes.reshape(len(spikes), -1)
        mixed = torch.addmm(self.output.bias.unsqueeze(1), self.output.weight, flat)
        return glu(mixed, dim=0).reshape(spikes.shape)

    def initial_state(self, batch: int) -> LayerState:
        """The state before the first step."""
        decay = self.kernel.A_imag.detach()
        x = torch.zeros(len(decay), batch, decay.shape[1], dtype=decay.dtype.to_complex(), device=decay.device)
        return LayerState(x, decay.new_zeros(len(decay), batch))

    def step(self, u: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """One time step in evaluation: u (H, B) and the state to the output (H, B) and the next state."""
        modes = self.kernel.discrete(self.neuron.scale())
        x = torch.exp(modes.rate).unsqueeze(1) * state.x + u.unsqueeze(2)
        current = 2 * (x * modes.C.unsqueeze(1)).sum(2).real + modes.D.unsqueeze(1) * u
        spikes, potential = self.neuron.step(current, state.u)
        return self.read(spikes), LayerState(x, potential)


class Block(nn.Module):
    """A spiking layer with norm, dropout and residual.

    Norm placement "pre": x + layer(norm(x)); "post": norm(x + layer(x)); "reference": x + layer(x), what the
    published code computes where its setting ``prenorm`` is off, as it throws its norm's result away.
    """

    norm: ChannelNorm | None

    def __init__(self, config: SpikingSSMConfig, generator: Generator) -> None:
        super().__init__()
        self.placement = config.norm_placement
        self.norm = None if self.placement == "reference" else make_norm(config.norm, config.d_model)
        self.layer = SpikingS4D(config, generator)
        self.dropout = config.dropout

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """(H, B, L) to (H, B, L)."""
        y = drop(self.layer(self.before(x, real), real), self.dropout, self.training)
        return self.after(x + y, real)

    def step(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """One time step in evaluation: (H, B) to (H, B)."""
        y, state = self.layer.step(self.before(x), state)
        return self.after(x + y), state

    def before(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """What the layer reads of the residual stream."""
        return self.norm(x, real) if self.norm is not None and self.placement == "pre" else x

    def after(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """What the sum of residual and layer becomes."""
        return self.norm(x, real) if self.norm is not None and self.placement == "post" else x


def drop(x: Tensor, probability: float, training: bool) -> Tensor:
    """Dropout of x (H, B, L) with one mask shared over time."""
    if not training or probability == 0:
        return x
    return x * dropout(x.new_ones(*x.shape[:2], 1), probability)


def uniform_linear(in_features: int, out_features: int, generator: Generator) -> nn.Linear:
    """A linear layer whose weight and bias are uniform within 1 / sqrt(in_features)."""
    layer = nn.utils.skip_init(nn.Linear, in_features, out_features)
    bound = 1 / math.sqrt(in_features)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
