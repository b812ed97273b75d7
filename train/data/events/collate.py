"""From event arrays to a padded batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..inputs import Inputs
from ..recordings import Events
from ..times import intervals
from ..tokens import TOKENS, Sensor
from .batch import EventBatch


def padded_length(longest: int, pad_unit: int) -> int:
    """Return the smallest positive multiple of ``pad_unit`` that holds ``longest`` events."""
    return max(1, -(-longest // pad_unit)) * pad_unit


def pad(
    values: Sequence[NDArray[np.generic]],
    dt: Sequence[NDArray[np.floating]],
    pool_dt: Sequence[NDArray[np.floating]] | None = None,
    pad_unit: int = 1,
) -> Inputs:
    """Pad B samples, at least one, to the next multiple of ``pad_unit`` that holds the longest of them.

    Args:
        values: of each sample tokens (L,) or vectors (L, F).
        dt: its intervals in ms, (L,).
        pool_dt: its exact intervals, where they are others.
        pad_unit: see above.
    """
    lengths = np.array([len(intervals) for intervals in dt], dtype=np.int64)
    size = padded_length(int(lengths.max()), pad_unit)

    def stacked(parts: Sequence[NDArray[np.generic]], fill: int) -> Tensor:
        rows = np.full((len(parts), size, *parts[0].shape[1:]), fill, dtype=parts[0].dtype)
        for row, part, length in zip(rows, parts, lengths, strict=True):
            row[:length] = part[:length]
        return torch.from_numpy(rows)

    tokens = stacked(values, -1 if values[0].ndim == 1 else 0)
    exact = None if pool_dt is None else stacked(pool_dt, 0)
    return Inputs(tokens, stacked(dt, 0), torch.from_numpy(lengths), exact)


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
    tokens = [to_tokens(events, sensor) for events in samples]
    inputs = pad(tokens, [dt for dt, _ in pairs], [pool_dt for _, pool_dt in pairs], pad_unit)
    return EventBatch.of(inputs, torch.from_numpy(np.asarray(targets, dtype=np.float32)))
