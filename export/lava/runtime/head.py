"""What travels with every value, its head: a flag, and the time since the value before."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

VALID = 1
"""Flag: the value exists at the sender's rate; without it a receiver changes nothing."""

RESET = 2
"""Flag: a new sample starts; states return to zero before the value, if any, is taken."""

FLAG, GAP, POOL_GAP = 0, 1, 2
"""Columns: the flag; the gap that state-space nodes decay over; the gap that weighs in time pooling."""

COLUMNS = 3


def heads(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The heads of the rows of ``inputs.npz``, (rows, 3)."""
    return np.hstack([inputs["flags"], inputs["gaps"], inputs["pool_gaps"]])
