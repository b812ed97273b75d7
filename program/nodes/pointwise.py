"""Nodes that act on each channel by itself: table look-up, product, sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..bounds import rounding_term
from ..formats import Format
from .base import Node, check_shift, register_node
from .facts import Tensor
from .features import PRODUCT, TABLE


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class Lookup(Node):
    """``y = table[q - format.min]``: a non-linearity as a table over all codes of an 8-bit (or narrower) input.

    Shapes: ``table`` (2**format.width,).
    """

    equation = "y = table[q]"
    demands = (TABLE,)

    format: Format
    size: int
    table: np.ndarray
    function: str

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
    def detail(self) -> str:
        return self.function

    def tensors(self) -> tuple[Tensor, ...]:
        return (Tensor("table", self.table, self.output.width),)

    def validate(self) -> None:
        self.require(self.format.width <= 12, f"a table over {self.format.width} bits is too large, the limit is 12")
        self.require_shape("table", self.table, (1 << self.format.width,))
        self.require_range("table", self.table, self.output.min, self.output.max)


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class Multiply(Node):
    """``y = sat(rhu(a b))`` from ``frac_a + frac_b`` to the output's fractional bits."""

    equation = "y = sat(rhu(a b))"
    demands = (PRODUCT,)

    formats: tuple[Format, Format]
    size: int

    @property
    def channels(self) -> int:
        return self.size

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return self.formats

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.size, self.size)

    @property
    def shift(self) -> int:
        """Right shift from the product to the output."""
        return self.formats[0].frac + self.formats[1].frac - self.output.frac

    def validate(self) -> None:
        self.require(len(self.inputs) == 2 == len(self.formats), "a product has two operands")
        check_shift(self, "the shift", self.shift)

    def bounds(self) -> Mapping[str, int]:
        product = self.formats[0].magnitude * self.formats[1].magnitude
        return {"the product": (product << max(-self.shift, 0)) + rounding_term(self.shift)}


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Node):
    """``y = sat(rhu(sum_i x_i))``: operands shifted left to the largest frac, summed exactly, rounded once.

    A single operand is the same value in another format.
    """

    equation = "y = sat(rhu(sum_i x_i))"

    formats: tuple[Format, ...]
    size: int

    @property
    def channels(self) -> int:
        return self.size

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return self.formats

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.size,) * len(self.formats)

    @cached_property
    def operand_shifts(self) -> tuple[int, ...]:
        """Left shifts of the operands, >= 0."""
        largest = max(format.frac for format in self.formats)
        return tuple(largest - format.frac for format in self.formats)

    @property
    def output_shift(self) -> int:
        """Right shift from the sum to the output."""
        return max(format.frac for format in self.formats) - self.output.frac

    def validate(self) -> None:
        self.require(len(self.inputs) >= 1, "a sum needs an operand")
        self.require(len(self.formats) == len(self.inputs), "every operand needs a format")
        for shift in (*self.operand_shifts, self.output_shift):
            check_shift(self, "a shift", shift)

    def bounds(self) -> Mapping[str, int]:
        total = sum(f.magnitude << s for f, s in zip(self.formats, self.operand_shifts, strict=True))
        return {"the sum": (total << max(-self.output_shift, 0)) + rounding_term(self.output_shift)}
