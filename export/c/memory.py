"""What a generated program keeps: constant tables, fields of its state, and work space that steps share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .types import CType


@dataclass(frozen=True)
class Table:
    """A constant array.

    Attributes:
        name: in C.
        ctype: of its entries.
        entries: as they are written, flat.
        node: whose it is.
    """

    name: str
    ctype: CType
    entries: np.ndarray
    node: str

    @property
    def bytes(self) -> int:
        """What it takes in flash."""
        return self.entries.size * self.ctype.bits // 8


@dataclass(frozen=True)
class Field:
    """An array of the state, or a single number (``size`` 0)."""

    name: str
    ctype: CType
    size: int
    node: str

    @property
    def bytes(self) -> int:
        """What it takes in RAM."""
        return max(self.size, 1) * self.ctype.bits // 8


@dataclass
class WorkSpace:
    """Arrays that one step needs, by the width of their entries: what is done with gives its place to others."""

    sizes: dict[int, int] = field(default_factory=dict)
    _live: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)

    def take(self, bits: int, size: int, now: int, until: int) -> int:
        """The place of ``size`` entries that are needed from node ``now`` to node ``until``, both included."""
        live = sorted(piece for piece in self._live.get(bits, []) if piece[2] >= now)
        offset = 0
        for start, length, _ in live:
            if offset + size <= start:
                break
            offset = max(offset, start + length)
        self._live[bits] = [*live, (offset, size, until)]
        self.sizes[bits] = max(self.sizes.get(bits, 0), offset + size)
        return offset

    def forget(self) -> None:
        """Nothing is needed any more."""
        self._live.clear()

    def fields(self) -> list[Field]:
        """The arrays as fields of the state, widest first."""
        return [Field(f"work{bits}", CType(bits), self.sizes[bits], "") for bits in sorted(self.sizes, reverse=True)]


def struct_bytes(fields: list[Field]) -> int:
    """The size of a struct of these fields where every type is aligned to its own size."""
    end, widest = 0, 1
    for each in fields:
        unit = each.ctype.bits // 8
        end, widest = -(-end // unit) * unit + each.bytes, max(widest, unit)
    return -(-end // widest) * widest
