"""Random streams that depend on what they are for, and on nothing else.

Every random decision takes a generator derived from (seed, purpose, epoch, number), so that neither the number of
workers, nor the order in which samples are asked for, nor an interruption changes it.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for; keeps streams of equal epoch and number apart."""

    ORDER = 0
    SAMPLE = 1
    BATCH = 2
    SPLIT = 3
    NORMS = 4


def stream(seed: int, purpose: Purpose, epoch: int = 0, number: int = 0) -> np.random.Generator:
    """Return the generator for ``purpose`` in ``epoch``: ``number`` counts samples or batches."""
    return np.random.default_rng([seed, int(purpose), epoch, number])
