"""Leaky integrators: the potentials that a clocked network is read by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..bounds import dot_bound, magnitudes, register_bits, rounding_term
from ..formats import Format
from .base import Node, check_narrow, check_shift, register_node
from .facts import OUTPUT, State, Tensor, biases, decaying, shifts, stored, whole


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class LeakyIntegrator(Node):
    """C leaky integrators, the potentials that a clocked network is read by (Baronig et al. 2024).

        o = sat(rhu(decay o' + W x + bias))        one exact sum, rounded once; W absorbs 1 - decay, row by row

    With decay = 1 they add up what arrives. Output and state: o (C,), zero before the first step.

    Row r of W x has ``weight_frac[r] + format.frac`` fractional
    bits, ``decay o'`` has ``decay_frac + output.frac``; the sum is taken at the larger, where the bias also lives.

    Shapes: ``weight`` (C, F); ``weight_frac``, ``bias``, ``decay`` (C,).
    """

    equation = "o = sat(rhu(decay o + W x + bias))"
    matrices = ("weight",)
    decay_tensors = ("decay",)
    keeps_state = True
    is_series = True

    format: Format
    weight: np.ndarray
    weight_width: int
    weight_frac: np.ndarray
    bias: np.ndarray
    decay: np.ndarray
    decay_width: int
    decay_frac: int

    @property
    def channels(self) -> int:
        return self.weight.shape[0]

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.format,)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.weight.shape[1],)

    @property
    def detail(self) -> str:
        return f"{self.weight_width}-bit weights"

    def tensors(self) -> tuple[Tensor, ...]:
        names = ("weight_shift", "decay_shift", "output_shift")
        return stored(
            Tensor("weight", self.weight, self.weight_width),
            biases("bias", self.bias, register_bits(self.register)),
            whole("decay", self.decay, self.decay_width),
            *(shifts(name, getattr(self, name)) for name in names),
        )

    def synapses(self) -> dict[str, np.ndarray]:
        return {"W": self.weight}

    def states(self) -> tuple[State, ...]:
        return (decaying("", self.output, self.decay, self.decay_frac, seen=OUTPUT),)

    @cached_property
    def accumulator_frac(self) -> np.ndarray:
        """Fractional bits of the exact sum, (C,)."""
        return np.maximum(self.weight_frac.astype(np.int64) + self.format.frac, self.decay_frac + self.output.frac)

    @cached_property
    def weight_shift(self) -> np.ndarray:
        """Left shift of W x to the sum, (C,)."""
        return self.accumulator_frac - self.weight_frac - self.format.frac

    @cached_property
    def decay_shift(self) -> np.ndarray:
        """Left shift of ``decay o`` to the sum, (C,)."""
        return self.accumulator_frac - self.decay_frac - self.output.frac

    @cached_property
    def output_shift(self) -> np.ndarray:
        """Right shift from the sum to the output, (C,)."""
        return self.accumulator_frac - self.output.frac

    def validate(self) -> None:
        self.require(len(self.inputs) == 1, "needs one input")
        self.require(self.weight.ndim == 2 and self.weight.size > 0, f"weight has shape {self.weight.shape}")
        for what in ("weight_frac", "bias", "decay"):
            self.require_shape(what, getattr(self, what), (self.channels,))
        check_narrow(self, "weight", self.weight, self.weight_width)
        check_narrow(self, "decay", self.decay, self.decay_width)
        check_shift(self, "decay_frac", self.decay_frac)
        self.require_range("decay", self.decay, 0, 1 << max(self.decay_frac, 0))
        self.require(8 <= self.output.width <= 32 and self.output.signed, "its output is signed, of 8 to 32 bits")
        for shift in (self.weight_shift, self.decay_shift, self.output_shift):
            check_shift(self, "a shift", shift)

    def bounds(self) -> Mapping[str, int]:
        total = magnitudes(self.bias)
        total = total + dot_bound(self.weight, self.format.magnitude) * (1 << self.weight_shift.astype(object))
        total = total + dot_bound(self.decay, self.output.magnitude) * (1 << self.decay_shift.astype(object))
        left = np.maximum(-self.output_shift, 0).astype(object)
        return {"the potential": int(max(total * (1 << left))) + rounding_term(self.output_shift)}
