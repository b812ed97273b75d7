"""Arenas under construction, and what a plan says about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...program import Format
from .vectors.plain import LANES

A16, A32, A64, A8 = range(4)
"""Numbers of the arenas: int16, int32, int64; the last is the first one's memory as bytes."""

DTYPES = (np.int16, np.int32, np.int64)


class Arena:
    """One flat array under construction; pieces start on cache lines, whole vectors apart, and end in zeros."""

    def __init__(self, number: int, head: int = 0) -> None:
        self.number = number
        self.dtype = np.dtype(DTYPES[number])
        self.line = max(64 // self.dtype.itemsize, LANES)
        self.pieces: list[tuple[int, np.ndarray]] = []
        self.size = head

    def put(self, values: np.ndarray) -> int:
        """Append a copy of ``values``; returns where it starts."""
        start = -(-self.size // self.line) * self.line
        flat = np.asarray(values, dtype=np.int64).ravel()
        self.pieces.append((start, flat))
        self.size = start + flat.size
        return start

    def reserve(self, size: int) -> int:
        """Append ``size`` zeros."""
        return self.put(np.zeros(size, dtype=np.int64))

    def build(self) -> np.ndarray:
        """The array, aligned to cache lines; loads of vectors may reach beyond the last piece."""
        array = aligned(np.zeros(self.size + 2 * self.line, dtype=self.dtype))
        for start, values in self.pieces:
            array[start : start + values.size] = values
        return array


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that starts on a cache line."""
    raw = np.empty(array.nbytes + 64, dtype=np.uint8)
    skip = -raw.ctypes.data % 64
    copy = raw[skip : skip + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy


@dataclass(frozen=True)
class Place:
    """Where rows lie: number of the arena, offset, channels, and the place in a64 of their count."""

    arena: int
    offset: int
    channels: int
    rows_at: int


@dataclass
class Plan:
    """Arenas to copy for a machine, and where to find things in them.

    Attributes:
        arenas: int16, int32, int64.
        edges: by node, the rows of its edge in the type that the node makes; of tables by token only what is read.
        states: by node, its states after each event of a block; only when traced.
        registers: by node, its state now.
        saturations, clipped_gaps: by node, the place of its counter in a64.
        counts: places in a64 of what each read-out has taken.
        changing: (arena, start, size) of what a reset clears.
        indices: (place, size, lowest, highest) in a64 of changing numbers that the machine finds its way by; a state
            from elsewhere has to keep to these limits.
    """

    arenas: tuple[Arena, Arena, Arena]
    edges: dict[str, Place] = field(default_factory=dict)
    states: dict[str, Place] = field(default_factory=dict)
    registers: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    saturations: dict[str, int] = field(default_factory=dict)
    clipped_gaps: dict[str, int] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    changing: list[tuple[int, int, int]] = field(default_factory=list)
    indices: list[tuple[int, int, int, int]] = field(default_factory=list)

    def build(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fresh arenas (int16, int32, int64) in the zero state."""
        a16, a32, a64 = (aligned(array) for array in self._built)
        return a16, a32, a64

    @cached_property
    def _built(self) -> tuple[np.ndarray, ...]:
        """Once for all machines of a plan that is complete: pieces are many, and numbers of another type."""
        return tuple(arena.build() for arena in self.arenas)


def fits_16(*formats: Format) -> bool:
    """Whether every code of the formats is an int16."""
    return all(format.min >= -(1 << 15) and format.max < 1 << 15 for format in formats)
