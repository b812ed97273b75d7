"""Integer types of C, and how numbers are written in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...program.bounds import I32_LIMIT, I64_LIMIT, register
from ...program.formats import Format


@dataclass(frozen=True)
class CType:
    """An integer type of <stdint.h>."""

    bits: int
    signed: bool = True

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}_t"

    @property
    def min(self) -> int:
        """The lowest number that it holds."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The highest number that it holds."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def limit(self) -> int:
        """What intermediates in this register stay below (program/bounds.py)."""
        return I32_LIMIT if self.bits == 32 else I64_LIMIT

    @property
    def deepest_shift(self) -> int:
        """The largest shift that anything but 0 takes in this register."""
        return self.limit.bit_length() - 1


I8, I16, I32, I64 = (CType(bits) for bits in (8, 16, 32, 64))
U8, U16, U32, U64 = (CType(bits, signed=False) for bits in (8, 16, 32, 64))


def of_bound(bound: int) -> CType:
    """The register of intermediates of this bound."""
    return I32 if register(bound) == "i32" else I64


def of_range(low: int, high: int, *, signed: bool = True) -> CType:
    """The narrowest type for ``low`` to ``high``."""
    kinds: Iterable[CType] = (I8, I16, I32) if signed or low < 0 else (U8, U16, U32)
    return next((kind for kind in kinds if kind.min <= low and high <= kind.max), I64)


def of_format(format: Format) -> CType:
    """The narrowest type for the codes of an edge; beyond 32 bits they are below 2**62, and signed."""
    return of_range(format.min, format.max, signed=format.signed)


def of_width(width: int) -> CType:
    """The narrowest type for signed codes of ``width`` bits."""
    return of_format(Format(width, True, 0))


def literal(value: int) -> str:
    """A number in C: of type int or long where it fits 32 bits, else of 64."""
    value = int(value)
    if value == I32.min:
        return f"({value + 1} - 1)"
    text = str(value) if abs(value) <= I32.max else f"INT64_C({value})"
    return f"({text})" if value < 0 else text


def entry(value: int) -> str:
    """A number of a table."""
    text = literal(value)
    return text[1:-1] if text.startswith("(") and abs(value) < I32.max else text
