"""From event arrays to a padded batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..recordings import Events
from ..times import intervals
from ..tokens import TOKENS, Sensor
from .batch import EventBatch


def padded_length(longest: int, pad_unit: int) -> int:
    """Return the smallest positive multiple of ``pad_unit`` that holds ``longest`` events."""
    return max(1, -(-longest // pad_unit)) * pad_unit


def collate(
    samples: Sequence[Events],
    targets: NDArray[np.float32],
    *,
    sensor: Sensor,
    token: str = "channel",
    tick_ms: float | None = 0.5,
    pairing: str = "causal",
    pad_unit: int = 1,
) -> EventBatch:
    """Turn B event arrays and their targets (B, C) into a batch.

    The length L is the next multiple of ``pad_unit`` that holds the longest sequence; see ``times.intervals`` for
    ``tick_ms`` and ``pairing`` and ``tokens`` for ``token``. A sequence may be empty: its length is 0.
    """
    to_tokens = TOKENS[token][0]
    pairs = [intervals(events["t"], tick_ms, pairing) for events in samples]
    lengths = np.array([len(dt) for dt, _ in pairs], dtype=np.int64)
    shape = (len(samples), padded_length(int(lengths.max(initial=0)), pad_unit))
    tokens = np.full(shape, -1, dtype=np.int64)
    dt, pool_dt = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for row, (events, pair, length) in enumerate(zip(samples, pairs, lengths, strict=True)):
        tokens[row, :length] = to_tokens(events[:length], sensor)
        dt[row, :length], pool_dt[row, :length] = pair
    return EventBatch(*map(torch.from_numpy, (tokens, dt, pool_dt, lengths, np.asarray(targets, dtype=np.float32))))
