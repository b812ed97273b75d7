"""What the source of a network sends: samples as rows of integers, each sample led by a step that resets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....program import Program
from ....program.samples import Sample, codes
from .head import RESET, VALID
from .parts import split


def source_arrays(program: Program, samples: Sequence[Sample]) -> dict[str, Any]:
    """What the Source process sends: all samples in turn, each led by a step that resets and carries no event."""
    decay_gap = split(program)[0].gap_in
    rows: dict[str, list[np.ndarray]] = {"values": [], "gaps": [], "pool_gaps": [], "flags": []}
    for index, sample in enumerate(samples):
        values, between = codes(program, sample, index)
        zeros = np.zeros((len(values), 1), dtype=np.int64)
        pool_gap = next((between[name] for name in between if name != decay_gap), between.get(decay_gap, zeros))
        rows["values"].append(_led(values, 0))
        rows["gaps"].append(_led(between.get(decay_gap, zeros), 0))
        rows["pool_gaps"].append(_led(pool_gap, 0))
        rows["flags"].append(_led(zeros + VALID, RESET))
    return {name: np.concatenate(arrays) for name, arrays in rows.items()}


def _led(rows: np.ndarray, first: int) -> np.ndarray:
    return np.concatenate([np.full((1, rows.shape[1]), first, dtype=np.int64), rows])
