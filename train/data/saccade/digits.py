"""scikit-learn's handwritten digits (Alpaydin and Kaynak 1998, the test set of 13 writers) as recordings of events."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....archives import save_arrays
from ....program.archive import read_arrays
from ..recordings import PIXEL_EVENT, Events
from ..spoken_digits.archive import cache_folder
from .pixels import see

TRAINING = 1198
"""Of 1,797 pictures, the first ones; the others are tested. They come writer by writer."""
CLASS_NAMES = tuple("0123456789")
DIGEST = "400b51030a1976a4197244f16701f730404d64148d2287a919aefa26a5087ada"
"""SHA-256 of all events, `digest`: the same on every machine."""
MOST_BYTES = 1 << 28
"""Of what is kept."""


def open_digits(split: str) -> tuple[list[Events], NDArray[np.int64]]:
    """Recordings and labels (N,) of ``train`` or ``test``; seen once, then read from the cache folder."""
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    recordings = _kept()
    if recordings is None:
        recordings = see(pictures.reshape(-1, 8, 8).astype(np.int64))
        _keep(recordings)
    chosen = slice(None, TRAINING) if split == "train" else slice(TRAINING, None)
    return recordings[chosen], labels[chosen].astype(np.int64)


def digest(recordings: list[Events]) -> str:
    """SHA-256 over the events of all recordings, whatever their types."""
    total = hashlib.sha256()
    for events in recordings:
        total.update(len(events).to_bytes(8, "little"))
        for name in "txyp":
            total.update(events[name].astype("<i8").tobytes())
    return total.hexdigest()


def _path() -> Path:
    return cache_folder() / f"saccade-digits-{DIGEST[:12]}.npz"


def _keep(recordings: list[Events]) -> None:
    events = np.concatenate(recordings)
    arrays = {"counts": np.array([len(each) for each in recordings])}
    save_arrays(_path(), arrays | {"t": events["t"].astype(np.int32)} | {n: events[n].astype(np.uint8) for n in "xyp"})


def _kept() -> list[Events] | None:
    """What was kept, if it is what it should be."""
    try:
        arrays = read_arrays(_path(), MOST_BYTES)
        events = np.empty(len(arrays["t"]), PIXEL_EVENT)
        for name in "txyp":
            events[name] = arrays[name]
        recordings = np.split(events, np.cumsum(arrays["counts"])[:-1])
    except (OSError, ValueError, LookupError):
        return None
    return recordings if digest(recordings) == DIGEST else None
