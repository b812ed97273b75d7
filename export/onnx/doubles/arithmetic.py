"""The program's integer arithmetic in float64, exact as it stands.

Codes are whole numbers in float64 tensors. Lowering bounds every intermediate, its rounding term included, below 2**52,
and float64 holds 53 bits, so that products and sums have no rounding error in any order; powers of two move into the
constants for nothing. Round-half-up is ``Floor`` of a sum that holds the half already. float32 and integer products are
taken where they are faster, and where their sums fit 24 or 31 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....program.bounds import dot_bound
from ....program.formats import Format
from ..arithmetic import FLOAT32_LIMIT
from ..graph import Graph
from ..sums import Term

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)

LIMIT = 1 << 52
"""What lowering bounds every intermediate by; float64 has one bit more."""

SMALL, LARGE, HUGE = 1 << 11, 1 << 14, 1 << 16
"""Weights of a product up to which float64 is the fastest, and from which bytes are, in place of it or of float32."""


def store_sum(
    graph: Graph, terms: Sequence[Term], constant: int | np.ndarray, right: int | np.ndarray, format: Format
) -> str:
    """``rounded_sum``, saturated to ``format``."""
    return saturate(graph, *rounded_sum(graph, terms, constant, right), format)


def rounded_sum(
    graph: Graph, terms: Sequence[Term], constant: int | np.ndarray, right: int | np.ndarray
) -> tuple[str, int]:
    """``floor((sum of terms + constant) / 2**right + 1/2)``, and a bound of its magnitude.

    ``constant`` and ``right`` broadcast to (out,); a negative ``right`` is an exact left shift.
    """
    right = np.atleast_1d(np.asarray(right)).astype(object)
    lost = np.maximum(right, 0)
    added = np.atleast_1d(np.asarray(constant)).astype(object) * 2 ** np.maximum(-right, 0) + (2**lost) // 2
    bound = sum((term.bound * 2 ** np.maximum(-right, 0) for term in terms), abs(added))
    dtype = SINGLE if _in_single(graph, terms, int(np.max(bound))) else DOUBLE
    parts = [product(graph, term, right, dtype) for term in terms if term.weight.ndim == 1]
    if added.any():
        parts.append(graph.constant(_uniform(np.ldexp(added.astype(np.float64), -lost.astype(np.int64))), dtype))
    total = add(graph, *parts) if parts else ""
    for term in terms:
        if term.weight.ndim == 2:
            total = _add_product(graph, term, right, total, dtype)
    if lost.any():
        total = graph.op("Floor", total)
    return total, int(np.max(bound // 2**lost)) + 1


def _in_single(graph: Graph, terms: Sequence[Term], bound: int) -> bool:
    """Whether a sum is taken in float32: that holds it, half units included, and is the fastest for a product in it, or
    what most of its operands are in.
    """
    if any(term.factor is not None for term in terms):
        return False
    large = any(term.weight.ndim == 2 and not _in_double(term.weight, term.format) for term in terms)
    there = [graph.dtypes[term.tensor] == SINGLE for term in terms]
    casts = sum(1 if not held else -1 for held, term in zip(there, terms, strict=True) if term.weight.ndim == 1)
    return bound < FLOAT32_LIMIT and (large or any(there)) and casts <= 0


def add(graph: Graph, *tensors: str) -> str:
    """Their sum."""
    total, *others = tensors  # Sum takes longer
    for tensor in others:
        total = graph.op("Add", total, tensor)
    return total


def product(graph: Graph, term: Term, right: int | np.ndarray = 0, dtype: np.dtype = DOUBLE) -> str:
    """``weight x 2**(shift - right)``, (B, out)."""
    exponent = np.atleast_1d(np.asarray(term.shift)).astype(np.int64) - np.atleast_1d(right).astype(np.int64)
    if term.weight.ndim == 2:
        assert term.format is not None
        return matmul(graph, term.tensor, term.format, term.weight, exponent)
    factor = _uniform(np.ldexp(term.weight.astype(np.float64), exponent))
    tensor = graph.cast(term.tensor, dtype)
    return tensor if np.all(factor == 1) else graph.op("Mul", tensor, graph.constant(factor, dtype))


def _add_product(graph: Graph, term: Term, right: np.ndarray, total: str, dtype: np.dtype) -> str:
    """A matrix product on top of ``total``, in one operation where it is one of the same type."""
    form, weight = term.format, term.weight
    assert form is not None
    exponent = np.atleast_1d(np.asarray(term.shift)).astype(np.int64) - right.astype(np.int64)
    if term.factor is not None:
        if not _in_double(weight, form) or _in_bytes(weight, form):
            found = matmul(graph, term.tensor, form, weight, np.zeros(1, np.int64))
            scaled = np.ldexp(term.factor.astype(np.float64), exponent)
            found = graph.op("Mul", found, graph.constant(_uniform(scaled), DOUBLE))
            return add(graph, found, total) if total else found
        weight = weight.astype(np.int64) * term.factor.astype(np.int64)[:, None]
    same = dtype == SINGLE or _in_double(weight, form) or term.factor is not None
    if total and same and not _in_bytes(weight, form):
        scaled = np.ldexp(weight.astype(np.float64), exponent[:, None])
        return graph.op("Gemm", graph.cast(term.tensor, dtype), graph.constant(scaled.T, dtype), total)
    found = graph.cast(matmul(graph, term.tensor, form, weight, exponent, dtype), dtype)
    return add(graph, found, total) if total else found


def matmul(
    graph: Graph, tensor: str, format: Format, weight: np.ndarray, exponent: np.ndarray, dtype: np.dtype = DOUBLE
) -> str:
    """``W x 2**exponent`` by row. Shapes: tensor (B, in), weight (out, in), exponent (1,) or (out,).

    ``dtype`` is that of the result; float32 only where that holds its sums.
    """
    scaled = np.ldexp(weight.astype(np.float64), exponent[:, None])
    if _in_bytes(weight, format):
        if format.width <= 8:
            return _product_of_bytes(graph, tensor, format, weight, exponent, dtype)
        return graph.cast(_product_of_two_bytes(graph, tensor, format, weight, exponent), dtype)
    if dtype == DOUBLE and _in_double(weight, format):
        return graph.op("MatMul", graph.cast(tensor, DOUBLE), graph.constant(scaled.T, DOUBLE))
    found = graph.op("MatMul", graph.cast(tensor, SINGLE), graph.constant(scaled.T, SINGLE))
    return graph.cast(found, dtype)


def _product_of_bytes(
    graph: Graph, tensor: str, format: Format, weight: np.ndarray, exponent: np.ndarray, dtype: np.dtype
) -> str:
    """As `matmul`; signed weights only where no CPU saturates pairs of products."""
    if format.min:
        tensor = graph.op("Add", tensor, graph.like(-format.min, tensor))
    codes, zero = graph.cast(tensor, np.uint8), graph.constant(-format.min, np.uint8)
    if 2 * 127 * (format.max - format.min) < 1 << 15:
        found = graph.op("MatMulInteger", codes, graph.constant(weight.T, np.int8), zero, dtype=np.int32)
    else:
        raised = graph.constant(weight.T.astype(np.int64) + 128, np.uint8)
        found = graph.op("MatMulInteger", codes, raised, zero, graph.constant(128, np.uint8), dtype=np.int32)
    unit = _uniform(np.ldexp(1.0, exponent))
    found = graph.cast(found, dtype)
    return found if np.all(unit == 1) else graph.op("Mul", found, graph.constant(unit, dtype))


def _product_of_two_bytes(graph: Graph, tensor: str, format: Format, weight: np.ndarray, exponent: np.ndarray) -> str:
    """As `matmul`: upper and lower bytes of the operand, raised to 0 or more, are rows of one product."""
    outputs, tensor = len(weight), graph.cast(tensor, DOUBLE)
    exponents = np.broadcast_to(exponent, outputs)
    raised = graph.op("Add", tensor, graph.constant(-format.min, DOUBLE)) if format.min else tensor
    high = graph.op("Floor", graph.op("Mul", raised, graph.constant(2.0**-8, DOUBLE)))
    low = graph.op("Sub", raised, graph.op("Mul", high, graph.constant(2.0**8, DOUBLE)))
    halves = graph.cast(graph.op("Concat", high, low, axis=0), np.uint8)
    codes = graph.constant(weight.T.astype(np.int64) + 128, np.uint8)
    zeros = graph.constant(0, np.uint8), graph.constant(128, np.uint8)
    found = graph.op("MatMulInteger", halves, codes, *zeros, dtype=np.int32)
    apart = graph.op("Reshape", found, graph.constant([2, -1, outputs], np.int64), dtype=np.int32)
    units = graph.constant(np.ldexp(1.0, np.stack([exponents + 8, exponents]))[:, None], DOUBLE)
    scaled = graph.op("Mul", graph.cast(apart, DOUBLE), units)
    total = graph.op("ReduceSum", scaled, graph.constant([0], np.int64), dtype=DOUBLE, keepdims=0)
    lost = np.ldexp((format.min * weight.astype(np.int64).sum(axis=1)).astype(np.float64), exponents)
    return graph.op("Add", total, graph.constant(lost, DOUBLE)) if format.min else total


def _in_bytes(weight: np.ndarray, format: Format | None) -> bool:
    """Whether bytes are the fastest for a product: its weights then fill a quarter or an eighth of a cache."""
    assert format is not None
    narrow = format.width <= 16 and np.abs(weight).max(initial=0) <= 127
    least = HUGE if max(dot_bound(weight, format.magnitude)) < FLOAT32_LIMIT else LARGE
    return bool(weight.size >= least and narrow and 127 * 255 * weight.shape[1] < 1 << 31)


def _in_double(weight: np.ndarray, format: Format | None) -> bool:
    """Whether float64 is the fastest for a product that does not go in bytes, or the only one that holds its sums."""
    assert format is not None
    return bool(weight.size <= SMALL or max(dot_bound(weight, format.magnitude)) >= FLOAT32_LIMIT)


def prefers_single(weight: np.ndarray, format: Format) -> bool:
    """Whether float32 is the fastest for a product."""
    return weight.ndim == 2 and not _in_double(weight, format) and not _in_bytes(weight, format)


def saturate(graph: Graph, tensor: str, bound: int | tuple[int, int], format: Format) -> str:
    """Clipped to ``format``, unless ``bound``, of its magnitude or its lowest and highest value, says that it fits."""
    low, high = (-bound, bound) if isinstance(bound, int) else bound
    if (format.min <= low and high <= format.max) or low == high == 0:
        return tensor
    return graph.op("Clip", tensor, graph.like(format.min, tensor), graph.like(format.max, tensor))


def floor_half_up(graph: Graph, tensor: str, shift: int) -> str:
    """``floor(tensor / 2**shift + 1/2)``; negative shifts are exact left shifts."""
    if shift:
        tensor = graph.op("Mul", tensor, graph.like(2.0**-shift, tensor))
    return tensor if shift <= 0 else graph.op("Floor", graph.op("Add", tensor, graph.like(0.5, tensor)))


def quotient(graph: Graph, numerator: str, denominator: str) -> str:
    """``floor(p / q + 1/2)`` for whole q >= 1 and ``2 |p| + q`` below 2**52, where it is ``floor((2 p + q) / (2 q))``.

    The exact value has a distance of 1 / (2 q) or more from the next integer above, unless it is that integer; the two
    rounding errors together are below ``(2 |p| / q + 1) 2**-53``, and so smaller. Half integers have none.
    """
    return graph.op("Floor", graph.op("Add", graph.op("Div", numerator, denominator), graph.constant(0.5, DOUBLE)))


def root(graph: Graph, tensor: str) -> str:
    """``isqrt``: sqrt is correctly rounded, and below 2**52 nothing but squares rounds to a whole number."""
    return graph.op("Floor", graph.op("Sqrt", tensor))


def _uniform(array: np.ndarray) -> np.ndarray:
    """One number where all are the same: scalars broadcast faster."""
    return array.reshape(-1)[0, ...] if array.size and (array == array.flat[0]).all() else array
