"""Samples as the integers that a program reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..hw_sim.reference import Sample, encode
from ..quantize.program import Program
from ..quantize.program.arithmetic import round_half_up_real
from ..quantize.program.nodes import DenseInput

__all__ = ["Sample", "codes", "shortest"]


def codes(program: Program, sample: Sample, index: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Tokens (L, 1) or quantized dense values (L, d), and the gaps (L, 1) of each gap input by name; all int64.

    Raises:
        ProgramError: a sample that the program cannot take (``hw_sim.reference.encode``).
    """
    values, between = encode(program, sample, index)
    source = program.value_input
    if isinstance(source, DenseInput):
        scaled = round_half_up_real(values * 2.0**source.output.frac)
        values = np.clip(scaled, source.output.min, source.output.max).astype(np.int64)
    return values, between


def shortest(samples: Sequence[Sample], count: int) -> list[int]:
    """The numbers of the ``count`` samples with the fewest events, ascending: for backends that take long."""
    return sorted(sorted(range(len(samples)), key=lambda index: len(samples[index][1]))[:count])
