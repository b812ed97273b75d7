"""Normalisation nodes: batch norm as a per-channel affine map, layer norm with an integer square root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np

from ..bounds import largest, magnitudes, register_bits, rounding_term
from ..formats import Format
from .base import Node, check_narrow, check_shift, register_node
from .facts import SUM_BITS, Tensor, biases, shifts, stored, whole
from .features import LAYER_NORM, SCALE


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class BatchNorm(Node):
    """``y_c = sat(rhu((multiplier_c x_c + bias_c) / 2**shift_c))``: running statistics, gamma and beta folded.

    Shapes: ``multiplier``, ``bias``, ``shift`` (channels,).
    """

    equation = "y = sat(rhu((multiplier x + bias) / 2**shift))"
    demands = (SCALE,)

    format: Format
    multiplier: np.ndarray
    multiplier_width: int
    bias: np.ndarray
    shift: np.ndarray

    @property
    def channels(self) -> int:
        return self.multiplier.shape[0]

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.format,)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.channels,)

    def tensors(self) -> tuple[Tensor, ...]:
        return stored(
            whole("multiplier", self.multiplier, self.multiplier_width),
            biases("bias", self.bias, register_bits(self.register)),
            shifts("shift", self.shift),
        )

    def validate(self) -> None:
        self.require(self.multiplier.ndim == 1, "multiplier has one entry a channel")
        check_narrow(self, "multiplier", self.multiplier, self.multiplier_width)
        self.require_shape("bias", self.bias, self.multiplier.shape)
        self.require_shape("shift", self.shift, self.multiplier.shape)
        check_shift(self, "shift", self.shift)

    def bounds(self) -> Mapping[str, int]:
        total = magnitudes(self.multiplier) * self.format.magnitude + magnitudes(self.bias)
        left = np.maximum(-self.shift.astype(np.int64), 0).astype(object)
        return {"the affine map": int(max(total * (1 << left), default=0)) + rounding_term(self.shift)}


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class LayerNorm(Node):
    """Layer norm over the H channels of one event, in int64, without a fraction::

        S = sum x          V = H sum x^2 - S^2          r = isqrt((V + epsilon) 4**root_shift)
        p_c = (H x_c - S) gamma_c 2**a + beta_c r 2**b          q = r 2**c
        y_c = sat(floor((2 p_c + q) / (2 q)))

    V is H^2 times the variance in squared input units. With f fractional bits of the output, g of gamma and h of
    beta: ``a - c = root_shift + f - g`` and ``b - c = f - h``. gamma = 1 and beta = 0 (``gamma``, ``beta`` empty,
    g = h = 0, c = 0) where they are folded into the consumers.

    Shapes: ``gamma``, ``beta`` (channels,) or (0,).
    """

    equation = "y = sat(floor(p / r + 1/2)), p = (H x - sum x) gamma + beta r, r = isqrt(V + epsilon)"
    demands = (LAYER_NORM,)

    format: Format
    size: int
    root_shift: int
    epsilon: int
    gamma: np.ndarray
    gamma_frac: int
    beta: np.ndarray
    beta_frac: int

    @property
    def channels(self) -> int:
        return self.size

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.format,)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.size,)

    @property
    def shifts(self) -> tuple[int, int, int]:
        """The exponents (a, b, c) of the equation; all >= 0."""
        deviation = self.root_shift + self.output.frac - self.gamma_frac
        offset = self.output.frac - self.beta_frac if self.beta.size else 0
        common = max(0, -deviation, -offset)
        return deviation + common, offset + common, common

    def tensors(self) -> tuple[Tensor, ...]:
        codes = {"gamma": self.gamma, "beta": self.beta}
        own = [whole(name, array, largest(array).bit_length() + 1) for name, array in codes.items()]
        return stored(whole("epsilon", self.epsilon, SUM_BITS), *own)

    def validate(self) -> None:
        self.require(self.size >= 2, "layer norm needs two channels or more")
        self.require(self.epsilon >= 1, "epsilon must be at least one unit")
        self.require(0 <= self.root_shift <= 20, f"root_shift {self.root_shift} is outside 0..20")
        for what, array in (("gamma", self.gamma), ("beta", self.beta)):
            self.require(array.shape in ((0,), (self.size,)), f"{what} has shape {array.shape}, not ({self.size},)")
        self.require(self.gamma.size > 0 or self.gamma_frac == 0, "gamma_frac without gamma")
        check_shift(self, "a shift", np.asarray(self.shifts))

    def bounds(self) -> Mapping[str, int]:
        magnitude, size = self.format.magnitude, self.size
        a, b, c = self.shifts
        variance = (size * magnitude) ** 2 + self.epsilon
        root = isqrt((variance << (2 * self.root_shift)) - 1) + 2  # rounded up, and one more
        # |H x - S| <= 2 (H - 1) max|x|; |H x_c - S| <= sqrt(H - 1) sqrt(V) would be tighter, but is not needed
        gamma = largest(self.gamma) if self.gamma.size else 1
        beta = largest(self.beta)
        numerator = ((2 * (size - 1) * magnitude * gamma) << a) + ((beta * root) << b)
        return {
            "the variance": variance << (2 * self.root_shift),
            "the quotient": 2 * numerator + (root << c),
        }
