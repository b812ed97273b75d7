"""Equalization of a state-space layer's modes, over B and C; what the layer computes stays the same.

A mode may be counted in any unit: B's row times s and C's column over s is the same layer. Powers of two are the
state's exponent; the rest of s is in the weights. Both are chosen so that few bits of weights are used best:

- B's rows fill the range of their codes, whose exponents are powers of two (`fill_rows`).
- C's columns have one exponent an output row, so that a row's largest entry decides how coarsely all are rounded. A
  mode whose column is small gets fewer fractional bits of its state, which makes the column larger (`spare_bits`).

The idea is cross-layer equalization (Nagel et al. 2019, arXiv 1906.04721, section 4.1), between the two matrices around
a state in place of those around a ReLU.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..codes import Floats, Fracs
from .fold import FoldedLayer

FULL = 0.999
"""Of the largest code's range; the rest is left to rounding in float32."""
FLAT = 0.25
"""Octaves by which a row may shrink; others grow, by less than the rest of one. Full rows lie far from that limit."""
CREST = 4.0
"""The largest magnitude of a state over its root mean square, roughly."""
DEAD_ZONE = 0.71
"""Units over 1 - |a|; see `Report`."""
MOST_SPARE = 8
"""Bits of a state's range that are given away at most."""
SWEEPS = 8


@torch.no_grad()
def fill_rows(ssm: nn.Module, rows: Floats, width: int) -> None:
    """Count a layer's modes in units in which each row of B reaches up to its largest code.

    Twice is the same as once.

    Args:
        ssm: holds ``B`` (P, ...) and ``C`` (O, P, ...).
        rows: B as it is quantized, (P, n), with what is folded into it.
        width: bits of its codes.
    """
    reach = FULL * ((1 << (width - 1)) - 0.5)  # rounds to the largest code
    largest = np.abs(rows).max(axis=1)
    octaves = np.log2(np.where(largest > 0, largest, reach) / reach)
    factor = torch.from_numpy(np.exp2(np.ceil(octaves - FLAT) - octaves))
    b, c = ssm.get_parameter("B"), ssm.get_parameter("C")
    b.mul_(factor.to(b).reshape(-1, *(1,) * (b.dim() - 1)))
    c.div_(factor.to(c).reshape(-1, *(1,) * (c.dim() - 2)))


def spare_bits(columns: Floats, peaks: Floats, growth: Floats, read_shift: int, width: int) -> Fracs:
    """Fractional bits that each mode's state may do without, (P,), for the sake of C.

    They minimize the noise of C x, summed over outputs: that of C's rounding, by which every code of the state is
    multiplied, and that of the state's own steps, which grow as C's columns do.

    Args:
        columns: C for codes that are read of states with all their fractional bits, (O, 2P) or (O, P).
        peaks: the largest code that is read of each mode, (P,).
        growth: 1 - \\|a\\| of each mode's decay over a tick, (P,).
        read_shift: the state's bits that C does not read.
        width: of C's codes.
    """
    parts, modes = columns.shape[1] // len(peaks), len(peaks)
    size = np.abs(columns).reshape(len(columns), parts, modes)
    weight, reached = (size**2).sum(axis=(0, 1)), size.max(axis=1)
    signal = (peaks / CREST) ** 2 * parts
    steps = _noise_of_steps(growth, read_shift)
    bits, best = np.zeros(modes, dtype=np.int64), np.inf

    def noise(bits: NDArray[np.int64]) -> float:
        grown = np.ldexp(1.0, bits)
        units = np.exp2(
            np.ceil(np.log2(np.maximum((reached * grown).max(axis=1), 1e-300) / ((1 << (width - 1)) - 0.5)))
        )
        return float((units**2).sum() * (signal / grown**2).sum() / 12 + (weight * grown**2 * steps).sum())

    best = noise(bits)
    for _ in range(SWEEPS):
        before = best
        for mode in range(modes):
            for step in (1, -1):
                tried = bits.copy()
                tried[mode] += step
                if 0 <= tried[mode] <= MOST_SPARE and (found := noise(tried)) < best:
                    bits, best = tried, found
        if best == before:
            break
    return bits


def _noise_of_steps(growth: Floats, read_shift: int) -> Floats:
    """Of a state, in units that C reads: rounded steps that decay, and what a dead zone leaves, evenly within it."""
    left = np.maximum(growth, 2.0**-40)
    rounded = 1 / 12 / (left * (2 - np.minimum(left, 1.0)))
    held = (DEAD_ZONE / left) ** 2 / 3
    read = 1 / 12 if read_shift > 0 else 0.0
    noise: Floats = (rounded + held) * 4.0**-read_shift + read
    return noise


def decay_left(folded: FoldedLayer[NDArray[np.float64]], tick_ms: float) -> Floats:
    """1 - \\|a\\| of each mode over a tick, (P,)."""
    left: Floats = -np.expm1(np.real(folded.rate) * tick_ms)
    return left
