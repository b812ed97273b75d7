"""The surrogate dynamic network as it is trained: factored convolutions and batch norms, before reduction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import PumiceError
from ..modules import ModuleList
from .network import MOST_KERNEL, MOST_LAYERS, MOST_WIDTH


@dataclass(frozen=True)
class SDNConfig:
    """Sizes of a surrogate dynamic network; the defaults are the published ones.

    Attributes:
        n_layers: spatial and feature convolutions, one pair a layer.
        d_model: channels of the hidden layers.
        kernel_size: inputs before a step that the first layer sees.

    Raises:
        PumiceError: a size that is no whole number within its limits.
    """

    n_layers: int = 1
    d_model: int = 8
    kernel_size: int = 8

    def __post_init__(self) -> None:
        limits = {"n_layers": MOST_LAYERS, "d_model": MOST_WIDTH, "kernel_size": MOST_KERNEL}
        for name, most in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise PumiceError(f"{name}={value} of a surrogate dynamic network has to be 1 to {most}; change it")


class SpatialLayer(nn.Module):
    """A kernel over time for each channel, batch norm, ReLU.

    The first layer's input is one signal times the encoder's weights, and it sees the steps before the present one;
    further layers see the present one and those before it.
    """

    def __init__(self, config: SDNConfig) -> None:
        super().__init__()
        bound = 1 / math.sqrt(config.kernel_size)
        self.weight = nn.Parameter(torch.empty(config.d_model, config.kernel_size).uniform_(-bound, bound))
        self.norm = nn.BatchNorm1d(config.d_model)

    def forward(self, h: Tensor, encoder: Tensor | None) -> Tensor:
        """(N, L) with the encoder's weights (d,), else (N, L, d); gives (N, L, d)."""
        kernel = self.weight.shape[1]
        if encoder is not None:
            mixed = F.pad(h, (kernel, -1)).unfold(-1, kernel, 1) @ (encoder[:, None] * self.weight).T
        else:
            padded = F.pad(h, (0, 0, kernel - 1, 0))
            mixed = torch.stack([padded[:, j : j + h.shape[1]] * self.weight[:, j] for j in range(kernel)]).sum(0)
        return F.relu(_normed(self.norm, mixed))


class FeatureLayer(nn.Module):
    """``relu(norm(W h) + h)``."""

    def __init__(self, config: SDNConfig) -> None:
        super().__init__()
        bound = 1 / math.sqrt(config.d_model)
        self.weight = nn.Parameter(torch.empty(config.d_model, config.d_model).uniform_(-bound, bound))
        self.norm = nn.BatchNorm1d(config.d_model)

    def forward(self, h: Tensor) -> Tensor:
        """(N, L, d) to the same."""
        return F.relu(_normed(self.norm, h @ self.weight.T) + h)


class TrainableSDN(nn.Module):
    """Predicts the membrane (N, L) from the drive (N, L); `fuse` makes a `SurrogateDynamicNetwork` of it.

    Encoder 1 to d without bias; per layer a depthwise convolution, batch norm, ReLU, and a 1x1 convolution with batch
    norm, residual and ReLU; decoder d to 1 (Shen et al. 2024, arXiv 2408.14909).

    Args:
        config: its sizes; initial weights come from torch's global generator.
    """

    def __init__(self, config: SDNConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Parameter(torch.empty(config.d_model).uniform_(-1, 1))
        self.spatial: ModuleList[SpatialLayer] = ModuleList(SpatialLayer(config) for _ in range(config.n_layers))
        self.feature: ModuleList[FeatureLayer] = ModuleList(FeatureLayer(config) for _ in range(config.n_layers))
        self.decoder = nn.Linear(config.d_model, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The membrane (N, L) before each step's drive (N, L)."""
        h, encoder = x, self.encoder
        for layer, (spatial, feature) in enumerate(zip(self.spatial, self.feature, strict=True)):
            h = feature(spatial(h, encoder if layer == 0 else None))
        membrane: Tensor = self.decoder(h)[..., 0]
        return membrane


def _normed(norm: nn.BatchNorm1d, h: Tensor) -> Tensor:
    normed: Tensor = norm(h.reshape(-1, h.shape[-1]))
    return normed.reshape(h.shape)
