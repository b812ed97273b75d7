"""Vectors as numpy arrays of LANES entries: what `native` compiles means this, and the machine runs so as Python."""

from __future__ import annotations

import numpy as np

LANES = 16
"""Entries of a vector: one register of 32-bit numbers where registers are longest, several elsewhere."""


def part(array: np.ndarray, start: int) -> np.ndarray:
    """The array from ``start`` on."""
    return array[start:]


def load(array: np.ndarray, at: int, like: np.ndarray) -> np.ndarray:
    """The entries from ``at`` on, in the type of ``like``."""
    return array[at : at + LANES].astype(like.dtype)


def store(array: np.ndarray, at: int, vector: np.ndarray, count: int) -> None:
    """Write the first ``count`` entries, all where it is larger; those that do not fit the array's type wrap."""
    count = min(max(count, 0), LANES)
    array[at : at + count] = vector[:count].astype(array.dtype)


def splat(number: int, like: np.ndarray) -> np.ndarray:
    """The same number in each entry."""
    return np.full(LANES, number, like.dtype)


def tally(mask: np.ndarray, count: int, like: np.ndarray) -> np.ndarray:
    """1 where the mask is true among the first ``count`` entries, else 0."""
    return (mask & (np.arange(LANES) < count)).astype(like.dtype)


def first(vector: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` entries, 0 beyond them."""
    return np.where(np.arange(LANES) < count, vector, 0).astype(vector.dtype)


def cast(vector: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The entries in the type of ``like``."""
    return vector.astype(like.dtype)


def squeeze(mask: np.ndarray, count: int, number: int, places: np.ndarray, at: int) -> int:
    """Write ``number`` plus the lane of each true entry among the first ``count`` to ``places``; returns how many.

    Up to LANES entries from ``at`` on may be overwritten.
    """
    found = np.flatnonzero(mask[:count])
    places[at : at + len(found)] = number + found
    return len(found)


def total(vector: np.ndarray) -> int:
    """The sum of all entries."""
    return int(vector.sum())


def add_saturating(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a + b``, at the ends of the type where it lies beyond them."""
    limits = np.iinfo(a.dtype)
    return (a.astype(np.int64) + b).clip(limits.min, limits.max).astype(a.dtype)


def minimum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The lesser of two entries."""
    return np.minimum(a, b)


def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The greater of two entries."""
    return np.maximum(a, b)


def choose(mask: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a`` where the mask is true, else ``b``."""
    return np.where(mask, a, b)


def gather(array: np.ndarray, at: int, places: np.ndarray, count: int) -> np.ndarray:
    """The entries ``at + places`` of the array, the first ``count``, in the type of ``places``; 0 beyond them."""
    inside = np.arange(LANES) < count
    return np.where(inside, array[np.where(inside, at + places, at)], 0).astype(places.dtype)


def reals(vector: np.ndarray) -> np.ndarray:
    """Integers as float64."""
    return vector.astype(np.float64)


def integers(vector: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Whole numbers of float64 as integers of the type of ``like``."""
    return vector.astype(like.dtype)


def floor(vector: np.ndarray) -> np.ndarray:
    """The largest whole numbers that are not greater."""
    return np.floor(vector)
