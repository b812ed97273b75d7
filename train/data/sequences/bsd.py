"""Burst sequence detection (Baronig et al. 2024): classes differ by when three of ten channels burst."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .batch import IGNORED, labelled_stretch
from .sets import BlockSet, SequenceSet
from .task import GeneratedTask

CHANNELS, INFORMATIVE, STEPS, LABELLED_FROM = 10, 3, 200, 160

SECONDS, VARIANCE_TWICE, HIGHEST, LOWEST = 20, 0.2, 0.75, 0.05


def burst_probabilities(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spike probability of each channel at each step, (channels, 200), around the burst times ``means`` in [0, 20)."""
    time = np.arange(0, SECONDS, SECONDS / STEPS)
    bursts = np.exp(-((time - means[:, None]) ** 2) / VARIANCE_TWICE)
    return bursts / bursts.max(axis=1, keepdims=True) * HIGHEST + LOWEST


@lru_cache(maxsize=1)
def generate_bsd(classes: int = 20, samples: int = 8000, seed: int = 42) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Spikes (samples, 200, 10) in {0, 1} and labels (samples,).

    One generator is used up in this order: for each class the burst times and the numbers of its three channels; for
    each sample its class, burst times of all channels, and the spikes channel by channel.
    """
    rng = np.random.default_rng(seed)
    own = [
        (rng.random(INFORMATIVE) * 0.75 + 0.1, rng.choice(CHANNELS, INFORMATIVE, replace=False)) for _ in range(classes)
    ]
    spikes = np.empty((samples, STEPS, CHANNELS), dtype=np.uint8)
    labels = np.empty(samples, dtype=np.int64)
    for row in range(samples):
        labels[row] = rng.integers(classes)
        times, channels = own[labels[row]]
        means = rng.random(CHANNELS) * 0.75 + 0.1
        means[channels] = times
        spikes[row] = (rng.random((CHANNELS, STEPS)) < burst_probabilities(means * SECONDS)).T
    return spikes, labels


def bsd_set(classes: int, samples: int, seed: int) -> BlockSet:
    """The whole set; one label a sequence, that of steps 160 to 199."""
    spikes, labels = generate_bsd(classes, samples, seed)
    targets = np.stack([np.full_like(labels, IGNORED), labels], axis=1)
    names = tuple(f"class {index}" for index in range(classes))
    return BlockSet("burst sequence detection", names, spikes, labelled_stretch(STEPS, LABELLED_FROM), targets)


@dataclass(frozen=True, kw_only=True)
class BsdTask(GeneratedTask):
    """Burst sequence detection, see ``bsd``; ``num_classes``: kinds of bursts."""

    shares = (0.7, 0.1)
    samples: int = 8000
    num_classes: int = 20

    outputs = property(lambda self: self.num_classes)
    in_features = property(lambda self: 10)

    def generate(self) -> SequenceSet:
        """See `GeneratedTask.generate`."""
        return bsd_set(self.num_classes, self.samples, self.seed)
