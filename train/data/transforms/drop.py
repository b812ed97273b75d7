"""Dropping events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..recordings import Events
from .check import require


def drop_events(events: Events, count: int, rng: np.random.Generator) -> Events:
    """Remove ``count`` events, chosen uniformly without replacement."""
    if count == 0:
        return events
    return np.delete(events, rng.choice(len(events), count, replace=False))


def drop_chunk(events: Events, size: int, rng: np.random.Generator) -> Events:
    """Remove ``size`` consecutive events from a uniformly chosen place."""
    start = rng.integers(len(events) - size + 1)
    return np.delete(events, slice(start, start + size))


@dataclass(frozen=True)
class DropEvent:
    """Remove the share ``p`` of the events: exactly floor(p n + 1/2) of n, as tonic's DropEvent."""

    p: float

    def __post_init__(self) -> None:
        require(0 <= self.p < 1, "drop_event.p", self.p, "from 0 to below 1")

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        return drop_events(events, int(self.p * len(events) + 0.5), rng)


@dataclass(frozen=True)
class DropEventChunk:
    """With probability ``p`` remove consecutive events: at least one, at most the share ``largest`` of all."""

    p: float
    largest: float

    def __post_init__(self) -> None:
        require(0 <= self.p <= 1, "drop_event_chunk.p", self.p, "from 0 to 1")
        require(0 <= self.largest < 1, "drop_event_chunk.largest", self.largest, "from 0 to below 1")

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """Transform an event array of shape (n,)."""
        most = int(self.largest * len(events))
        if rng.random() >= self.p or most < 1:
            return events
        return drop_chunk(events, int(rng.integers(1, most + 1)), rng)
