"""CutMix over event counts, with soft labels (Schoene et al. 2024, arXiv 2404.18508)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..recordings import Events


def paste(base: Events, cut: Events) -> tuple[Events, NDArray[np.bool_]]:
    """Replace the events of ``base`` in the time span of ``cut``, bounds included, by those of ``cut``.

    Returns:
        the mixed events (m,), sorted by time, and a mask (m,) that is true for the events of ``cut``.
    """
    inside = (base["t"] >= cut["t"][0]) & (base["t"] <= cut["t"][-1])
    kept = base[~inside]
    events = np.concatenate([kept, cut])
    order = np.argsort(events["t"], kind="stable")
    return events[order], (order >= len(kept))


def cut_mix(
    samples: Sequence[Events], rng: np.random.Generator
) -> tuple[list[Events], NDArray[np.int64], list[NDArray[np.bool_]]]:
    """Mix each of B samples with the one that a random permutation pairs it with.

    Of each sample a run of U{1..n-1} events (one event if n = 1) is cut from a random start, and pasted into the
    sample it is paired with. The label of sample i is (1 - w) y_i + w y_partner(i), where w = n_b / n_new is the share
    of true entries in its mask. A pair with an empty sample is left as it is.

    Returns:
        the mixed samples, the partners (B,), and for each sample a mask of the events that came from the partner.
    """
    counts = np.array([len(events) for events in samples], dtype=np.int64)
    sizes = rng.integers(1, np.maximum(counts, 2))
    starts = rng.integers(0, np.maximum(counts - sizes, 0) + 1)
    partners = rng.permutation(len(samples))
    mixed, masks = [], []
    for events, partner in zip(samples, partners, strict=True):
        cut = samples[partner][starts[partner] : starts[partner] + sizes[partner]]
        if len(events) and len(cut):
            events, mask = paste(events, cut)
        else:
            mask = np.zeros(len(events), dtype=bool)
        mixed.append(events)
        masks.append(mask)
    return mixed, partners, masks
