"""Exact sums that are rounded once, in int32 wherever their bounds allow it.

``floor((A + B 2**s) / 2**r) = floor((floor(A / 2**s) + B) / 2**(r - s))`` for s <= r: what is a multiple of 2**s may
join after a first shift by s, and the bits stay the same. Where a sum as it stands needs more than 30 bits, the ways
to use this are tried in turn, the cheaper first:

- a factor near ``2**(r - s)``, as that of a slow decay, leaves its operand to join behind the last shift, and only the
  complement is multiplied;
- operands of a large left shift, and the upper bits of the constant, join late;
- one operand is split into its lower and upper bits, of which the upper join late; or several are.

What none of these brings to 30 bits is summed in int64.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...program.bounds import I32_LIMIT, dot_bound
from ...program.formats import Format
from .arithmetic import FLOAT32_LIMIT, floor_shift, matmul, raised_shift, saturate, shift_left, split_bits
from .graph import Graph
from .opset import BITWISE

SPLITS = range(1, 16)
"""Lower bits that an operand may be split at."""

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)


@dataclass(frozen=True, eq=False)
class Term:
    """One operand of a sum, ``weight x 2**shift``.

    Attributes:
        tensor: x, (B, in), or conditions (B, in) bool, where weight counts if they hold.
        weight: (out, in), or (out,) or (1,) for channels multiplied one by one.
        shift: left shifts, broadcast to (out,); at least 0.
        magnitude: bound of ``|x|``.
        format: of x, needed where weight is a matrix.
        part: its lower (0) or upper (1) bits alone, and how many are the lower; None: all.
        factor: whole numbers that the rows of a matrix are multiplied by, (out,); in float64 alone.
    """

    tensor: str
    weight: np.ndarray
    shift: int | np.ndarray
    magnitude: int
    format: Format | None = None
    part: tuple[int, int] | None = None
    factor: np.ndarray | None = None

    @cached_property
    def bound(self) -> np.ndarray:
        """Bound of ``|weight x| 2**shift`` by row, Python integers."""
        factor = 1 if self.factor is None else abs(self.factor.astype(object))
        return dot_bound(self.weight, self.magnitude) * (1 << _whole(self.shift)) * factor

    @property
    def divisible(self) -> bool:
        """Whether its channels are numbers that are multiplied one by one."""
        return self.weight.ndim == 1 and self.magnitude > 1 and self.part is None


@dataclass(frozen=True, eq=False)
class _Way:
    """``floor((floor((early + low) / 2**first) + late + high) / 2**(right - first)) + whole``.

    ``low`` and ``high`` are the constant's lower ``first`` bits and the others; ``first`` is None where there is one
    shift alone.
    """

    early: tuple[Term, ...]
    late: tuple[Term, ...] = ()
    whole: tuple[str, ...] = ()
    first: np.ndarray | None = None


def store_sum(
    graph: Graph, terms: Sequence[Term], constant: int | np.ndarray, right: int | np.ndarray, format: Format
) -> str:
    """``rounded_sum``, saturated to ``format``."""
    tensor, bound = rounded_sum(graph, terms, constant, right)
    return saturate(graph, tensor, format, bound)


def rounded_sum(
    graph: Graph, terms: Sequence[Term], constant: int | np.ndarray, right: int | np.ndarray
) -> tuple[str, int]:
    """``floor((sum of terms + constant) / 2**right + 1/2)``, and a bound of its magnitude.

    ``constant`` and ``right`` broadcast to (out,); a negative ``right`` is an exact left shift. The bounds of nodes
    keep the sum below 2**52.
    """
    left, lost = np.maximum(-_whole(right), 0), np.maximum(_whole(right), 0)
    terms = [replace(term, shift=_whole(term.shift) + left) for term in terms]
    added = _whole(constant) * (1 << left) + (1 << lost) // 2
    total = sum((term.bound for term in terms), abs(added))
    largest = int(np.max(total >> lost)) + 1
    if largest < 2 * I32_LIMIT and all(term.magnitude < 2 * I32_LIMIT for term in terms):
        way = _choose(graph, terms, added, lost)
        if way is not None:
            return _write(graph, way, added, lost), largest
    tensor = _total(graph, terms, _INT64)
    return floor_shift(graph, tensor, lost, added, int(np.max(total))), largest


def _choose(graph: Graph, terms: Sequence[Term], constant: np.ndarray, right: np.ndarray) -> _Way | None:
    """The first way that stays within 30 bits; where lower bits are cleared, the first that float32 divides exactly."""
    fitting = (way for way in _ways(terms, right) if _fits(way, constant, right))
    best = next(fitting, None)
    if best is None or graph.opset < BITWISE:
        return best
    exact = (way for way in itertools.chain([best], fitting) if _divides_in_float32(way, constant, right))
    return next(exact, best)


def _ways(terms: Sequence[Term], right: np.ndarray) -> Iterator[_Way]:
    """How the sum may be taken, the cheaper first."""
    plain = _Way(tuple(terms))
    yield plain
    if not np.any(right):
        return
    choices = [plain, *_complement(plain, right)]
    yield from choices[1:]
    for way in choices:
        yield from _late(way, right)
    for way in choices:
        for bits, term in itertools.product(SPLITS, way.early):
            if term.divisible and term.magnitude >> bits:
                yield from _late(_split(way, term, bits), right)
    for way in choices:
        for bits in SPLITS:
            halves = way
            for term in way.early:
                if term.divisible and term.magnitude >> bits:
                    halves = _split(halves, term, bits)
            yield from _late(halves, right)


def _complement(way: _Way, right: np.ndarray) -> list[_Way]:
    """With the complement of the first term whose factors all lie nearer to ``2**(right - shift)`` than to 0."""
    for term in way.early:
        lift = right - _whole(term.shift)
        if term.divisible and np.all(lift > 0):
            one = 1 << lift
            weight = term.weight.astype(object) - one
            if np.all(2 * abs(weight) < one):
                small = replace(term, weight=weight.astype(np.int64))
                early = tuple(small if other is term else other for other in way.early)
                return [replace(way, early=early, whole=(term.tensor,))]
    return []


def _late(way: _Way, right: np.ndarray) -> Iterator[_Way]:
    """All choices of terms that join late, with the longest first shift that each allows."""
    for count in range(len(way.early)):
        for late in itertools.combinations(way.early, count):
            first = right
            for term in late:
                first = np.minimum(first, _whole(term.shift))
            if np.any(first > 0):
                yield replace(way, early=tuple(t for t in way.early if t not in late), late=late, first=first)


def _split(way: _Way, term: Term, bits: int) -> _Way:
    """``term`` as two: the lower ``bits`` bits of its operand, a number from 0 up, and the others."""
    low = replace(term, magnitude=(1 << bits) - 1, part=(bits, 0))
    high = replace(term, magnitude=(term.magnitude >> bits) + 1, shift=_whole(term.shift) + bits, part=(bits, 1))
    return replace(way, early=(*(other for other in way.early if other is not term), low, high))


def _fits(way: _Way, constant: np.ndarray, right: np.ndarray) -> bool:
    """Whether every intermediate stays below 2**30, or 2**31 where nothing is shifted."""
    early = sum(term.bound for term in way.early)
    if way.first is None:
        return bool(np.all(early + abs(constant) < (I32_LIMIT if np.any(right) else 2 * I32_LIMIT)))
    early = early + constant % (1 << way.first)
    late = sum(term.bound >> way.first for term in way.late) + abs(constant >> way.first)
    return bool(np.all(early < I32_LIMIT) and np.all((early >> way.first) + 1 + late < I32_LIMIT))


def _divides_in_float32(way: _Way, constant: np.ndarray, right: np.ndarray) -> bool:
    """Whether at most 24 bits are left of every dividend when its lower bits are cleared."""
    early, late = sum(term.bound for term in way.early), np.zeros(1, dtype=object)
    if way.first is not None:
        late = sum((term.bound >> way.first for term in way.late), late) + abs(constant >> way.first)
        early = early + constant % (1 << way.first)
        if np.any(early >= FLOAT32_LIMIT << way.first):
            return False
        early, constant, right = (early >> way.first) + 1 + late, late * 0, right - way.first
    return not np.any(right) or not np.any(early + abs(constant) >= FLOAT32_LIMIT << right)


def _write(graph: Graph, way: _Way, constant: np.ndarray, right: np.ndarray) -> str:
    tensor, bound = _total(graph, way.early, _INT32), sum(term.bound for term in way.early)
    if way.first is not None:
        low = constant % (1 << way.first)
        tensor, rest = raised_shift(graph, tensor, way.first, low, int(np.max(bound + low)))
        late = tuple(replace(term, shift=_whole(term.shift) - way.first) for term in way.late)
        tensor = _total(graph, late, _INT32, tensor)
        bound = (bound + low >> way.first) + 1 + sum(term.bound for term in late)
        bound = bound + abs(constant >> way.first)
        constant, right = (constant >> way.first) - rest, right - way.first
    else:
        bound = bound + abs(constant)
    tensor = floor_shift(graph, tensor, right, constant, int(np.max(bound)))
    for operand in way.whole:
        tensor = graph.op("Add", tensor, graph.cast(operand, _INT32))
    return tensor


def _total(graph: Graph, terms: Sequence[Term], dtype: np.dtype, total: str = "") -> str:
    for term in terms:
        product = _product(graph, term, dtype)
        total = graph.op("Add", product, total) if total else product
    return total


def _product(graph: Graph, term: Term, dtype: np.dtype) -> str:
    if term.format is not None and term.weight.ndim == 2:
        product = matmul(graph, term.tensor, term.format, term.weight, dtype)
        return shift_left(graph, product, _whole(term.shift).astype(np.int64))
    tensor = term.tensor if term.part is None else split_bits(graph, term.tensor, term.part[0])[term.part[1]]
    factor = (term.weight.astype(object) << _whole(term.shift)).astype(np.int64)
    if graph.dtypes[tensor] == np.bool_:
        return graph.op("Where", tensor, graph.constant(factor, dtype), graph.constant(0, dtype))
    tensor = graph.cast(tensor, dtype)
    return tensor if np.all(factor == 1) else graph.op("Mul", tensor, graph.constant(factor, dtype))


def _whole(value: int | np.ndarray) -> np.ndarray:
    """At least one number, as Python integers."""
    return np.atleast_1d(np.asarray(value)).astype(object)
