"""Recordings: event arrays with labels, decoded on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .events import Events


class Recordings(Protocol):
    """N labelled recordings of one file or folder.

    name: where they came from, for messages.
    class_names: C names in order of their label.
    labels: int64 (N,).
    lengths: int64 (N,), events in each recording.
    speakers: int64 (N,), who was recorded, or None where unknown.
    """

    name: str
    class_names: Sequence[str]
    labels: NDArray[np.int64]
    lengths: NDArray[np.int64]
    speakers: NDArray[np.int64] | None

    def events(self, index: int, start: int = 0, stop: int | None = None) -> Events:
        """Return events ``start`` to ``stop`` of one recording, sorted by time."""
        ...
