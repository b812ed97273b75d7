"""Arenas under construction, and what a plan says about them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...program import Format, Program

A16, A32, A64 = range(3)
"""Numbers of the arenas: int16, int32, int64."""


class Arena:
    """One flat array under construction; pieces start on cache lines."""

    def __init__(self, dtype: type, head: int = 0) -> None:
        self.dtype = np.dtype(dtype)
        self.line = 64 // self.dtype.itemsize
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
        """The array, aligned to cache lines."""
        raw = np.zeros(self.size * self.dtype.itemsize + 64, dtype=np.uint8)
        skip = -raw.ctypes.data % 64
        array = raw[skip : skip + self.size * self.dtype.itemsize].view(self.dtype)
        for start, values in self.pieces:
            array[start : start + values.size] = values
        return array


@dataclass
class Place:
    """Where rows lie: number of the arena, offset, channels, and the place in a64 of their count."""

    arena: int
    offset: int
    channels: int
    rows_at: int


@dataclass
class Plan:
    """Arenas to copy for a machine, and where to find things in them."""

    program: Program
    arenas: tuple[Arena, Arena, Arena]
    edges: dict[str, Place] = field(default_factory=dict)
    states: dict[str, Place] = field(default_factory=dict)
    registers: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    saturations: dict[str, int] = field(default_factory=dict)
    clipped_gaps: dict[str, int] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    changing: list[tuple[int, int, int]] = field(default_factory=list)
    narrow: dict[str, bool] = field(default_factory=dict)
    tabulated: set[str] = field(default_factory=set)

    def build(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fresh arenas (int16, int32, int64) in the zero state."""
        a16, a32, a64 = (arena.build() for arena in self.arenas)
        return a16, a32, a64


def fits_16(format: Format) -> bool:
    """Whether every code of the format is an int16."""
    return format.min >= -(1 << 15) and format.max < 1 << 15
