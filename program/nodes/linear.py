"""Embedding and linear nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..bounds import dot_bound, largest, magnitudes, register, register_bits, rounding_term
from ..formats import Format
from .base import Node, check_narrow, check_shift, register_node
from .facts import Tensor, biases, shifts, stored


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class Embedding(Node):
    """``y = sat(rhu(table[token] / 2**(table_frac - output.frac)))``.

    Shapes: ``table`` (vocab, channels).
    """

    equation = "y = sat(rhu(table[token]))"

    table: np.ndarray
    table_width: int
    table_frac: int
    token_format: Format

    @property
    def channels(self) -> int:
        return self.table.shape[1]

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.token_format,)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (1,)

    @property
    def shift(self) -> int:
        """Right shift from the table to the output."""
        return self.table_frac - self.output.frac

    @property
    def detail(self) -> str:
        return f"{self.table_width}-bit table"

    def weight_tensors(self) -> tuple[Tensor, ...]:
        return (Tensor("table", self.table.T, self.table_width),)

    def tensors(self) -> tuple[Tensor, ...]:
        return (Tensor("table", self.table, self.table_width),)

    def check_source(self, source: Node) -> None:
        low, high = source.code_range
        rows = len(self.table)
        self.require(low >= 0, f"it has no row for the codes below 0 that {source.name} can carry")
        self.require(high < rows, f"its {rows} rows are fewer than {high + 1} tokens")

    def validate(self) -> None:
        self.require(
            self.table.ndim == 2 and self.table.size > 0, f"table has shape {self.table.shape}, not (vocab, d)"
        )
        check_narrow(self, "table", self.table, self.table_width)
        check_shift(self, "the shift", self.shift)

    def bounds(self) -> Mapping[str, int]:
        return {"the table": (largest(self.table) << max(-self.shift, 0)) + rounding_term(self.shift)}


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Node):
    """``y_r = sat(rhu((sum_i W_i x_i)_r + b_r))``: one exact sum over all operands, rounded once.

    Operand i contributes at ``weight_frac_i[r] + format_i.frac`` fractional bits; the sum of row r is taken at the
    largest of these, ``accumulator_frac[r]``, where the bias also lives. Where that equals ``output.frac`` nothing
    is rounded (logits).

    Shapes: ``weights[i]`` (out, in_i), or (out,) for a diagonal matrix; ``weight_fracs[i]`` (out,); ``bias`` (out,).
    """

    equation = "y = sat(rhu(sum_i W_i x_i + b))"
    matrices = ("weights",)

    formats: tuple[Format, ...]
    weights: tuple[np.ndarray, ...]
    weight_widths: tuple[int, ...]
    weight_fracs: tuple[np.ndarray, ...]
    bias: np.ndarray

    @property
    def channels(self) -> int:
        return self.bias.shape[0]

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return self.formats

    @property
    def input_channels(self) -> tuple[int, ...]:
        return tuple(weight.shape[-1] for weight in self.weights)

    @cached_property
    def accumulator_frac(self) -> np.ndarray:
        """Fractional bits of the exact sum, (out,)."""
        return np.max([self._product_frac(i) for i in range(len(self.weights))], axis=0)

    @cached_property
    def operand_shifts(self) -> tuple[np.ndarray, ...]:
        """Left shifts that bring each operand's product to ``accumulator_frac``: (out,) each, >= 0."""
        return tuple(self.accumulator_frac - self._product_frac(i) for i in range(len(self.weights)))

    @cached_property
    def output_shift(self) -> np.ndarray:
        """Right shift from the sum to the output, (out,); negative means an exact left shift."""
        return self.accumulator_frac - self.output.frac

    @property
    def accumulator(self) -> str:
        """``"i32"`` or ``"i64"``."""
        return register(max(self.bounds().values()))

    @property
    def detail(self) -> str:
        return f"{'/'.join(str(width) for width in self.weight_widths)}-bit weights, {self.accumulator} sums"

    def tensors(self) -> tuple[Tensor, ...]:
        matrices = zip(self.weights, self.weight_widths, strict=True)
        return stored(
            *(Tensor(f"weights[{i}]", weight, width) for i, (weight, width) in enumerate(matrices)),
            biases("bias", self.bias, register_bits(self.accumulator)),
            *(shifts(f"operand_shifts[{i}]", shift) for i, shift in enumerate(self.operand_shifts)),
            shifts("output_shift", self.output_shift),
        )

    def _product_frac(self, index: int) -> np.ndarray:
        return self.weight_fracs[index].astype(np.int64) + self.formats[index].frac

    def validate(self) -> None:
        count = len(self.inputs)
        self.require(count >= 1, "a linear node needs an operand")
        self.require(
            len(self.formats) == len(self.weights) == len(self.weight_widths) == len(self.weight_fracs) == count,
            f"{count} inputs need {count} formats, weights, weight_widths and weight_fracs",
        )
        out = self.channels
        self.require(self.bias.ndim == 1, "bias has one entry an output")
        for edge, weight, width, frac in zip(
            self.inputs, self.weights, self.weight_widths, self.weight_fracs, strict=True
        ):
            check_narrow(self, f"weight of {edge}", weight, width)
            self.require(weight.ndim in (1, 2) and weight.shape[0] == out, f"weight of {edge} has shape {weight.shape}")
            self.require_shape(f"weight_frac of {edge}", frac, (out,))
            check_shift(self, f"weight_frac of {edge}", frac)
        for shift in (*self.operand_shifts, self.output_shift):
            check_shift(self, "a shift", shift)

    def bounds(self) -> Mapping[str, int]:
        total = magnitudes(self.bias)
        for weight, format, shift in zip(self.weights, self.formats, self.operand_shifts, strict=True):
            total = total + dot_bound(weight, format.magnitude) * (1 << shift.astype(object))
        left = np.maximum(-self.output_shift, 0).astype(object)
        return {"the sum": int(max(total * (1 << left), default=0)) + rounding_term(self.output_shift)}
