"""Spiking neurons without synapses of their own: an edge is their current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..bounds import largest, rounding_term
from ..formats import Format
from .base import Node, check_decay, check_narrow, check_shift, register_node
from .facts import State, Tensor, decaying, shared, stored, whole
from .features import LEAKY
from .layer import SPIKES


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class DrivenLIF(Node):
    """Leaky integrate-and-fire neurons behind a state-space layer (Shen et al. 2024, arXiv 2408.14909).

    Input: the current I (H,), one row a time step, at the fractional bits of u. State: u (H,), zero at the start::

        u^ = sat(rhu(alpha u') + I)      alpha stands for tau; 1 / 8 is one bit at three fractional bits
        z  = [u^ > threshold]            to fire where a threshold is reached, it is one code lower
        u  = u^ (1 - z)

    Output: the spikes z (H,). Shapes: ``alpha``, ``threshold`` (H,), the latter at ``potential.frac``.
    """

    equation = "u = sat(rhu(alpha u) + I), z = [u > threshold], u = 0 where z"
    demands = (LEAKY,)
    decay_tensors = ("alpha",)
    keeps_state = True

    format: Format
    potential: Format
    threshold: np.ndarray
    constant_width: int
    alpha: np.ndarray
    alpha_frac: int

    @property
    def channels(self) -> int:
        return self.alpha.shape[0]

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.format,)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.channels,)

    @property
    def detail(self) -> str:
        return f"{self.channels} neurons, u {self.potential}"

    def tensors(self) -> tuple[Tensor, ...]:
        return stored(
            shared("threshold", self.threshold, self.potential.width),
            shared("alpha", self.alpha, self.constant_width),
            whole("alpha_frac", self.alpha_frac, 8),
        )

    def states(self) -> tuple[State, ...]:
        return (decaying("u", self.potential, self.alpha, self.alpha_frac),)

    def validate(self) -> None:
        self.require(len(self.inputs) == 1, "needs one input")
        self.require(self.output == SPIKES, f"its output are spikes, {SPIKES}, not {self.output}")
        self.require(self.alpha.ndim == 1 and self.alpha.size > 0, f"alpha has shape {self.alpha.shape}, not (H,)")
        self.require_shape("threshold", self.threshold, self.alpha.shape)
        self.require(8 <= self.potential.width <= 32 and self.potential.signed, "u is signed, of 8 to 32 bits")
        self.require(
            self.format.frac == self.potential.frac,
            f"its current has {self.format.frac} fractional bits and u {self.potential.frac}; they must agree",
        )
        check_narrow(self, "alpha", self.alpha, self.constant_width)
        check_shift(self, "alpha_frac", self.alpha_frac)
        self.require_range("alpha", self.alpha, 0, 1 << 32)
        check_decay(self, "alpha", "a membrane")
        self.require_range("threshold", self.threshold, self.potential.min - 1, self.potential.max)

    def bounds(self) -> Mapping[str, int]:
        decayed = largest(self.alpha) * self.potential.magnitude + rounding_term(self.alpha_frac)
        return {"the decay": decayed, "the potential": (decayed >> self.alpha_frac) + self.format.magnitude}
