"""What the nodes of a part compute, as one sum or product that is rounded once, and what float32 holds of it.

Tools that read such models carry real values in float32, exact up to 24 bits. A sum is exact there if all that it
adds, in units of its last fractional bit, stays within them. Where it is rounded, half a unit of that bit is added
first: then no value is a tie, and ``floor(x + 1/2)``, half to even and half away from zero are the same. That takes one
bit more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...program.bounds import dot_bound, magnitudes
from ...program.formats import Format
from ...program.nodes import Add, BatchNorm, Linear, Multiply, Node

EXACT_BITS = 24
"""What float32 holds exactly."""


@dataclass(frozen=True, eq=False)
class Operand:
    """One operand.

    Attributes:
        format: of the edge.
        weight: codes (out, in), or (out,) of a diagonal; None: the edge itself.
        width: of the codes.
        frac: their fractional bits, (out,); zeros without a weight.
    """

    format: Format
    weight: np.ndarray | None
    width: int
    frac: np.ndarray


@dataclass(frozen=True, eq=False)
class Sum:
    """``y = sat(rhu(sum_i W_i x_i + bias))``, or of the product of all ``x_i``.

    Attributes:
        operands: in the order of the node's inputs.
        bias: codes (out,) at ``frac``.
        frac: fractional bits of the exact sum, (out,).
        output: format of the result.
        product: whether operands are multiplied.
    """

    operands: tuple[Operand, ...]
    bias: np.ndarray
    frac: np.ndarray
    output: Format
    product: bool = False

    @property
    def rounds(self) -> np.ndarray:
        """Whether a row is rounded, (out,) bool."""
        return self.frac > self.output.frac

    @cached_property
    def bound(self) -> np.ndarray:
        """Bound of all that is added, by row and in units of the last fractional bit, (out,) Python integers."""
        if self.product:
            total = np.array([1], dtype=object)
            for operand in self.operands:
                total = total * operand.format.magnitude
            return total + magnitudes(self.bias)
        total = magnitudes(self.bias)
        for operand in self.operands:
            weight = np.ones(1, dtype=np.int64) if operand.weight is None else operand.weight
            bound = dot_bound(weight, operand.format.magnitude)
            shift = self.frac - operand.frac - operand.format.frac
            total = total + bound * (1 << shift.astype(object))
        return total

    @property
    def constant(self) -> tuple[np.ndarray, np.ndarray]:
        """What is added, the half units included: codes (out,) and their fractional bits (out,)."""
        if not self.rounds.any():
            return self.bias, self.frac
        return 2 * self.bias + self.rounds, self.frac + 1

    @property
    def bits(self) -> int:
        """What float32 has to hold, rounding included."""
        return max(((int(total) << int(more)) + int(more)).bit_length() for total, more in self._rows())

    @property
    def saturates(self) -> bool:
        """Whether a result may lie outside the output's range."""
        reached = 0
        for (total, more), shift in zip(self._rows(), self.frac - self.output.frac, strict=False):
            shift = int(shift)
            reached = max(reached, (total >> shift) + more if shift > 0 else total << -shift)
        return reached > self.output.max or (self.output.min > -reached and self._reaches_below())

    def _reaches_below(self) -> bool:
        """Whether anything that is added may be negative."""
        weighted = any(operand.weight is not None and operand.weight.min() < 0 for operand in self.operands)
        return weighted or bool((self.bias < 0).any()) or any(operand.format.signed for operand in self.operands)

    def _rows(self) -> list[tuple[int, int]]:
        rounds = np.broadcast_to(self.rounds, np.broadcast_shapes(self.rounds.shape, self.bound.shape))
        bounds = np.broadcast_to(self.bound, rounds.shape)
        return [(int(bound), int(one)) for bound, one in zip(bounds, rounds, strict=True)]


def _linear(node: Linear) -> Sum:
    each = zip(node.formats, node.weights, node.weight_widths, node.weight_fracs, strict=True)
    operands = tuple(Operand(form, weight, width, frac.astype(np.int64)) for form, weight, width, frac in each)
    return Sum(operands, node.bias.astype(np.int64), node.accumulator_frac, node.output)


def _batch_norm(node: BatchNorm) -> Sum:
    frac = node.shift.astype(np.int64) + node.output.frac
    operand = Operand(node.format, node.multiplier, node.multiplier_width, frac - node.format.frac)
    return Sum((operand,), node.bias.astype(np.int64), frac, node.output)


def _pointwise(node: Add | Multiply, frac: int, product: bool) -> Sum:
    none = np.zeros(1, dtype=np.int64)
    operands = tuple(Operand(form, None, 0, none) for form in node.formats)
    return Sum(operands, none, none + frac, node.output, product)


def _add(node: Add) -> Sum:
    return _pointwise(node, max(form.frac for form in node.formats), product=False)


def _multiply(node: Multiply) -> Sum:
    return _pointwise(node, sum(form.frac for form in node.formats), product=True)


SUMS: Mapping[type[Node], Callable[[Any], Sum]] = {
    Add: _add,
    BatchNorm: _batch_norm,
    Linear: _linear,
    Multiply: _multiply,
}
"""What a node computes, by its type."""
