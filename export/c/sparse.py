"""Matrices without their zeros: line after line, what differs from zero, and where in its line it stands.

Places are bytes. In lines of more than 256 entries they are distances from the place before, and a zero is kept where
a distance would be longer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .types import CType, of_range

FARTHEST = 255
"""What a byte holds."""


@dataclass(frozen=True)
class Sparse:
    """What is kept of a matrix (lines, entries).

    Attributes:
        counts: (lines,) how many entries of each.
        places: (kept,) bytes: where in its line each stands, or how far behind the one before it, the first of a line
            behind place 0.
        codes: (kept,) what stands there.
        far: whether places are distances.
    """

    counts: np.ndarray
    places: np.ndarray
    codes: np.ndarray
    far: bool

    @property
    def starts(self) -> np.ndarray:
        """(lines + 1,) where each line begins among all that is kept, and where the last one ends."""
        return np.concatenate([[0], np.cumsum(self.counts)])


def without_zeros(codes: np.ndarray) -> Sparse:
    """A matrix (lines, entries) without its zeros; one zero stays where there is nothing else, as C has no array of no
    entries.
    """
    kept, far = codes != 0, codes.shape[1] > FARTHEST + 1
    if far:
        for line in kept:
            before = 0
            for place in np.flatnonzero(line).tolist():
                line[np.arange(before + FARTHEST, place, FARTHEST)] = True
                before = place
    if not kept.any():
        kept[0, 0] = True
    lines, places = np.nonzero(kept)
    if far:
        first = np.diff(lines, prepend=-1) != 0
        places = np.where(first, places, np.diff(places, prepend=0))
    return Sparse(kept.sum(axis=1), places, codes[kept], far)


def index_type(numbers: np.ndarray) -> CType:
    """The narrowest unsigned type for counts or starts."""
    return of_range(0, int(numbers.max()), signed=False)
