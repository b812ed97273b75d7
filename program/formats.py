"""Number formats of edges: width, signedness and fractional bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import ProgramError

MAX_WIDTH = 64
MAX_FRAC = 60


@dataclass(frozen=True)
class Format:
    """An integer code ``q`` of ``width`` bits that stands for the value ``q * 2**-frac``.

    ``frac`` may be negative (coarse values). The full two's complement range is used on edges; weights are kept
    narrow (symmetric) by the quantizers.
    """

    width: int
    signed: bool
    frac: int

    def __post_init__(self) -> None:
        if type(self.signed) is not bool or any(type(value) is not int for value in (self.width, self.frac)):
            raise ProgramError(f"a format of width {self.width!r}, signed {self.signed!r}, frac {self.frac!r} is none")
        if not 1 <= self.width <= MAX_WIDTH:
            raise ProgramError(f"width {self.width} is outside 1..{MAX_WIDTH} bits")
        if abs(self.frac) > MAX_FRAC:
            raise ProgramError(f"{self.frac} fractional bits are outside -{MAX_FRAC}..{MAX_FRAC}")

    @property
    def min(self) -> int:
        """The lowest code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The highest code."""
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1

    @property
    def magnitude(self) -> int:
        """The largest absolute value of a code."""
        return max(-self.min, self.max)

    @property
    def scale(self) -> float:
        """The value of one unit, ``2**-frac``."""
        return 2.0**-self.frac

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.width}.{self.frac}"


def smallest_dtype(width: int, signed: bool = True) -> np.dtype:
    """The narrowest numpy integer type that holds codes of ``width`` bits."""
    for bits in (8, 16, 32, 64):
        if width <= bits:
            return np.dtype(f"{'int' if signed else 'uint'}{bits}")
    raise ProgramError(f"width {width} is above 64 bits")
