"""Normalisation over channels that come first, (H, ...)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from ..s5.norm import MaskedBatchNorm


class ChannelBatchNorm(MaskedBatchNorm):
    """Batch normalisation of x (H, B, L), whose statistics count real steps only.

    Where no step is padding, torch's fused operation computes the same; its running variance is the unbiased one.
    """

    def forward(self, x: Tensor, counts: Tensor | None = None) -> Tensor:
        """Normalise x (H, ...); ``counts`` (...) is 0 for padding, else 1; without it every step is real."""
        if self.training and counts is None:
            flat = x.reshape(1, len(x), -1)
            parameters = self.running_mean, self.running_var, self.weight, self.bias
            return batch_norm(flat, *parameters, training=True, momentum=self.momentum, eps=self.eps).reshape(x.shape)
        if self.training and counts is not None:
            return super().forward(x.movedim(0, -1), counts).movedim(-1, 0)
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shape = -1, *[1] * (x.dim() - 1)
        return x * scale.reshape(shape) + (self.bias - self.running_mean * scale).reshape(shape)


class ChannelLayerNorm(nn.LayerNorm):
    """Layer normalisation of x (H, ...) over its channels."""

    def forward(self, x: Tensor, counts: Tensor | None = None) -> Tensor:
        """Normalise x (H, ...); ``counts`` changes nothing."""
        shape = -1, *[1] * (x.dim() - 1)
        variance, mean = torch.var_mean(x, dim=0, correction=0)
        normalised = (x - mean) * torch.rsqrt(variance + self.eps)
        return normalised * self.weight.reshape(shape) + self.bias.reshape(shape)


ChannelNorm = ChannelBatchNorm | ChannelLayerNorm


def make_norm(kind: str, channels: int) -> ChannelNorm:
    """The norm named by the configuration: "layer" or "batch"."""
    return ChannelBatchNorm(channels, momentum=0.1) if kind == "batch" else ChannelLayerNorm(channels)
