"""The spiking neuron at the output of a state space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..scan.threshold import GRADIENTS, threshold_scan, threshold_step

NEURONS = GRADIENTS
"""How neurons are trained."""


class SpikingNeuron(nn.Module):
    """Leaky integrate-and-fire neurons that are reset to 0 (Shen et al. 2024), one a channel.

        u'_t = tau u_{t-1} + x_t / v;   z_t = [u'_t >= 1];   u_t = (1 - z_t) u'_t

    The threshold v = exp(ln_vth) is folded into what computes x: `scale` is what to multiply it with. The surrogate
    gradient is max(0, 1 - |u' - 1|).

    Args:
        channels: H.
        tau: what is left of a potential after a step.
        neuron: "bptt" (gradients go through the potential, not through the reset) or "sltt" (through neither).
        threshold: "channel" or "shared", one v each or one for all.
        learn_threshold: train it; else it is 1.
    """

    ln_vth: Tensor

    def __init__(self, channels: int, *, tau: float, neuron: str, threshold: str, learn_threshold: bool) -> None:
        super().__init__()
        self.channels = channels
        self.tau = tau
        self.neuron = neuron
        start = torch.zeros(channels if threshold == "channel" else 1)
        if learn_threshold:
            self.ln_vth = nn.Parameter(start)
        else:
            self.register_buffer("ln_vth", start)

    def scale(self) -> Tensor:
        """1 / v, (H,)."""
        return torch.exp(-self.ln_vth).expand(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (..., T) of the scaled input x (..., T)."""
        return threshold_scan(x, self.tau, self.neuron)

    def step(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """One time step of any shape, scaled input and potential: spikes and the next potential."""
        return threshold_step(x, u, self.tau, self.neuron)

    def extra_repr(self) -> str:
        """The settings."""
        return f"channels={self.channels}, tau={self.tau}, neuron={self.neuron}"
