"""The spiking neuron at the output of a state space."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from ...errors import PumiceError
from ..scan.threshold import GRADIENTS, reach, threshold_scan, threshold_step
from ..sdn import load_sdn, shipped_sdn
from ..settings import check_choices, check_flags, check_numbers

NEURONS = ("sdn", *GRADIENTS)
"""How neurons are trained."""
INFERENCES = ("exact", "sdn")
THRESHOLDS = ("channel", "shared")

Membrane = Callable[[Tensor], Tensor]
"""From the scaled input (..., T) to what is left of the potential before each step."""


class NeuronSettings(Protocol):
    """What a model's settings say of its neurons; see `SpikingNeuron`."""

    @property
    def tau(self) -> float: ...
    @property
    def neuron(self) -> str: ...
    @property
    def inference(self) -> str: ...
    @property
    def sdn(self) -> str | None: ...
    @property
    def threshold(self) -> str: ...
    @property
    def learn_threshold(self) -> bool: ...


def check_neuron(settings: NeuronSettings) -> None:
    """Refuse settings outside their limits.

    Raises:
        PumiceError: naming the setting.
    """
    check_choices(settings, {"neuron": NEURONS, "inference": INFERENCES, "threshold": THRESHOLDS})
    check_flags(settings, "learn_threshold")
    if not (settings.sdn is None or isinstance(settings.sdn, str)):
        raise PumiceError(f"sdn={settings.sdn} is no file; name a reduced surrogate network, or null")
    check_numbers(settings, "tau")
    if not 0 <= settings.tau < 1:
        raise PumiceError(f"tau={settings.tau} lies outside [0, 1); choose a value inside")


class SpikingNeuron(nn.Module):
    """Leaky integrate-and-fire neurons that are reset to 0 (Shen et al. 2024), one a channel.

        u'_t = tau u_{t-1} + x_t / v;   z_t = [u'_t >= 1];   u_t = (1 - z_t) u'_t

    The threshold v = exp(ln_vth) is folded into what computes x: `scale` is what to multiply it with. The surrogate
    gradient is max(0, 1 - |u' - 1|).

    Args:
        channels: H.
        tau: what is left of a potential after a step.
        neuron: in training, "bptt" (exact; gradients go through the potential, not through the reset), "sltt" (exact;
            through neither), or "sdn" (tau u_{t-1} is predicted by a surrogate network; through neither).
        inference: in evaluation, "exact" or "sdn".
        threshold: "channel" or "shared", one v each or one for all.
        learn_threshold: train it; else it is 1.
        sdn: the file of the surrogate network, read when it is first used: what is trained can be evaluated without.
    """

    ln_vth: Tensor

    def __init__(
        self,
        channels: int,
        *,
        tau: float,
        neuron: str,
        inference: str = "exact",
        threshold: str = "channel",
        learn_threshold: bool = True,
        sdn: str | None = None,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.tau = tau
        self.neuron = neuron
        self.inference = inference
        self.sdn = sdn
        self._membrane: Membrane | None = None
        start = torch.zeros(channels if threshold == "channel" else 1)
        if learn_threshold:
            self.ln_vth = nn.Parameter(start)
        else:
            self.register_buffer("ln_vth", start)

    @classmethod
    def of(cls, settings: NeuronSettings, channels: int) -> SpikingNeuron:
        """The neurons of a layer, as a model's settings say."""
        return cls(
            channels,
            tau=settings.tau,
            neuron=settings.neuron,
            inference=settings.inference,
            sdn=settings.sdn,
            threshold=settings.threshold,
            learn_threshold=settings.learn_threshold,
        )

    def scale(self) -> Tensor:
        """1 / v, (H,)."""
        return torch.exp(-self.ln_vth).expand(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (..., T) of the scaled input x (..., T)."""
        if (self.neuron if self.training else self.inference) == "sdn":
            if self._membrane is None:
                self._membrane = membrane_of(self.tau, self.sdn)
            return reach(self._membrane(x) + x)
        return threshold_scan(x, self.tau, "sltt" if self.neuron == "sdn" else self.neuron)

    def step(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """One time step of any shape, scaled input and potential: spikes and the next potential, exact."""
        return threshold_step(x, u, self.tau)

    def extra_repr(self) -> str:
        """The settings."""
        return f"channels={self.channels}, tau={self.tau}, neuron={self.neuron}, inference={self.inference}"


def membrane_of(tau: float, path: str | None) -> Membrane:
    """The reduced surrogate network at ``path``, or the one for ``tau`` that comes with Pumice, as a function.

    As a function and not a module: it is neither trained nor part of what a trained model computes, so weights on
    disk do without it.

    Raises:
        PumiceError: there is no such network, or it was trained for another tau.
    """
    sdn = shipped_sdn(tau) if path is None else load_sdn(path)
    if sdn.tau != tau:
        raise PumiceError(f"model.sdn={path} was trained for tau={sdn.tau}, the model has tau={tau}; set model.tau")
    return partial(type(sdn).forward, sdn)
