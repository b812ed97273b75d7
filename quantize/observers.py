"""What calibration remembers of the values it saw: histograms, peaks, ranges of inputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import PumiceError
from ..program.formats import MAX_FRAC, Format
from .codes import largest_frac
from .exponents import FINER_EXPONENTS
from .kernels.ranges import count, peak, peaks
from .rounding import code_range, pow2, pow2_codes

SPIKE_CODES = (Format(1, False, 0), Format(2, True, 0))


def largest_of(what: str, x: Tensor) -> float:
    """The largest magnitude of x, any shape but empty.

    Raises:
        PumiceError: values that are not finite; begins with ``what``.
    """
    return _finite(what, peak(_floats(x)))


def _finite(what: str, largest: float) -> float:
    if not np.isfinite(largest):
        raise PumiceError(f"{what} holds NaN or infinity in calibration; train the model again, or clean the data")
    return largest


def _floats(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.double()


class Peak:
    """The largest magnitude of a state; ``what`` names it in messages."""

    def __init__(self, what: str = "a state") -> None:
        self.what = what
        self.largest: float | None = None

    def update(self, x: Tensor) -> None:
        """Look at values of any shape.

        Raises:
            PumiceError: values that are not finite.
        """
        if x.numel():
            self.largest = max(self.largest or 0.0, largest_of(self.what, x))

    def at_least(self, value: float) -> Peak:
        """A peak that reaches ``value`` too; nothing where nothing was seen."""
        raised = Peak(self.what)
        raised.largest = None if self.largest is None else max(self.largest, value)
        return raised

    def frac(self, width: int, headroom: int) -> int | None:
        """Fractional bits for signed codes of ``width`` bits, ``headroom`` of them spare; None: nothing was seen."""
        if self.largest is None:
            return None
        highest = (1 << (width - 1 - headroom)) - 1
        return min(max(int(largest_frac(self.largest, highest, width - 2)), -MAX_FRAC), MAX_FRAC)


class InputObserver:
    """What the input reaches, and whether it consists of whole numbers."""

    def __init__(self) -> None:
        self.values = Histogram("the input")
        self.whole = True
        self.least = self.most = 0.0

    def update(self, x: Tensor) -> None:
        """Look at inputs of any shape."""
        self.values.update(x)
        if x.numel():
            self.whole = self.whole and bool((x == x.round()).all())
            self.least, self.most = min(self.least, float(x.min())), max(self.most, float(x.max()))

    def format(self, width: int, method: str) -> Format | None:
        """The format of the input; None where nothing was seen.

        Spikes, with or without a sign, have 1 or 2 bits; other whole numbers that fit ``width`` bits are exact too.
        """
        if self.values.exponent is None:
            return None
        signed = self.least < 0
        exact = Format(width, signed, 0)
        if self.whole:
            for format in (*SPIKE_CODES, exact):
                if max(format.min, -format.max) <= self.least and self.most <= format.max:
                    return format
        frac = self.values.frac(width, signed, method)
        assert frac is not None
        return Format(width, signed, frac)


BINS = 1 << 14  # eight or more a code of 12 bits


class Histogram:
    """Counts of values over ``[-2**k, 2**k)``; k grows with the values, pairs of bins being merged.

    ``what`` names the values in messages.
    """

    def __init__(self, what: str = "a value") -> None:
        self.what = what
        self.exponent: int | None = None
        self.counts = torch.zeros(BINS, dtype=torch.float64)
        self.largest = 0.0

    def update(self, x: Tensor) -> None:
        """Count the values of x, any shape.

        Raises:
            PumiceError: values that are not finite.
        """
        x = _floats(x.detach())
        if not x.numel():
            return
        largest = largest_of(self.what, x)
        self.largest = max(self.largest, largest)
        needed = int(np.frexp(largest)[1]) if largest > 0 else -MAX_FRAC
        self.exponent = needed if self.exponent is None else self.exponent
        while self.exponent < needed:
            quarter = torch.zeros(BINS // 4, dtype=torch.float64)
            self.counts = torch.cat([quarter, self.counts.reshape(-1, 2).sum(1), quarter])
            self.exponent += 1
        self.counts += torch.from_numpy(count(x, 2.0**self.exponent, BINS))

    def frac(self, width: int, signed: bool, method: str, headroom: int = 0) -> int | None:
        """Fractional bits for codes of ``width`` bits, ``headroom`` of them spare; None where nothing was seen."""
        if self.exponent is None:
            return None
        _, highest = code_range(width - headroom, signed)
        frac = int(np.clip(largest_frac(self.largest, highest, highest.bit_length()), -MAX_FRAC, MAX_FRAC))
        if method == "max" or self.largest == 0:
            return frac
        limit = 2.0**self.exponent
        centres = torch.linspace(-limit, limit, 2 * BINS + 1, dtype=torch.float64)[1::2]
        errors = []
        for candidate in range(frac, frac + FINER_EXPONENTS + 1):
            restored = pow2_codes(centres, candidate, width - headroom, signed) * pow2(-candidate, centres)
            errors.append(float(((restored - centres).square() * self.counts).sum()))
        return frac + int(np.argmin(errors))


class Peaks:
    """The largest magnitude of each mode's parts; ``what`` names the states in messages."""

    def __init__(self, modes: int, what: str = "a state") -> None:
        self.what = what
        self.largest = torch.zeros(modes, dtype=torch.float64)
        self.seen = False

    def update(self, states: Tensor) -> None:
        """Look at states (N, 2P), planar, or (N, P) of real modes.

        Raises:
            PumiceError: states that are not finite.
        """
        if len(states):
            found = torch.from_numpy(peaks(_floats(states))).double()
            _finite(self.what, float(found.max()))
            self.largest = torch.maximum(self.largest, found.reshape(-1, len(self.largest)).amax(0))
            self.seen = True
