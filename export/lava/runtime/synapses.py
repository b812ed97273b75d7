"""Products of matrices as Lava's own Dense makes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....program import Program, ProgramError
from .parts import FUSED, LAYERS, STOCK, Part, split


@dataclass(frozen=True)
class Synapses:
    """What one Dense of Lava multiplies by: ``codes`` (rows, columns) int64 of 8 bits, times 2**``exponent``."""

    name: str
    codes: np.ndarray
    exponent: int
    recurrent: bool


def synapses(part: Part) -> list[Synapses]:
    """The matrices in front of neurons or integrators, for Lava's Dense: W, and V of recurrent neurons.

    Dense keeps weights of mixed sign in 8 bits above a zero bit. So it gets twice our codes, and the exponent less one:
    what it sends is the exact product. Codes beyond 8 bits are two Dense, of digits to the base 128, whose sums add.

    Raises:
        ProgramError: other nodes, or codes and sums that do not fit.
    """
    node = part.nodes[0]
    if not node.synapses():
        raise ProgramError(f"{part.name}: parts={STOCK} needs a clocked network of neurons; use {LAYERS} or {FUSED}")
    (format,) = node.input_formats
    matrices = [(what, matrix, format.magnitude if what == "W" else 1) for what, matrix in node.synapses().items()]
    found = []
    for what, matrix, largest in matrices:
        digits = _digits(matrix.astype(np.int64))
        sums = [largest * int(np.abs(codes).sum(axis=1).max()) << 7 * place for place, codes in enumerate(digits)]
        if len(digits) > 2 or 2 * max(sums) >= 1 << 31:
            raise ProgramError(
                f"node {node.name}: {what} does not fit Lava's Dense, 14-bit codes and 30-bit sums; use parts={LAYERS}"
            )
        for place, codes in enumerate(digits):
            name = f"{part.name}/{what}{place or ''}"
            found.append(Synapses(name, codes, 7 * place, recurrent=what == "V"))
    return found


def check_parts(program: Program, parts: str) -> None:
    """Whether the program can be made of these parts, one of ``PARTS``.

    Raises:
        ProgramError: it cannot; names the node or the part.
    """
    if program.chip:
        if parts == FUSED:
            raise ProgramError(f"a network of Lava's own processes cannot be fused; use parts={LAYERS}")
    elif parts == STOCK:
        for part in split(program):
            synapses(part)


def _digits(codes: np.ndarray) -> list[np.ndarray]:
    """Digits to the base 128, the lowest first, each of 8 bits."""
    digits = []
    while np.abs(codes).max() > 127:
        low = (codes + 64) % 128 - 64
        digits.append(low)
        codes = (codes - low) >> 7
    return [*digits, codes]
