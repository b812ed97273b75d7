"""Oscillation of masses between springs, to be predicted (Baronig et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .sets import SequenceSet, SeriesSet
from .task import GeneratedTask

MASSES, LEAST_STIFFNESS, MOST_STIFFNESS = 4, 500, 10_000

RATE_HZ, POINTS = 402, 202


def stiffness_matrices(springs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Matrices K (N, 4, 4) of x'' = -K x for unit masses in a chain fixed at both ends by ``springs`` (N, 5)."""
    inner = springs[:, 1:-1].astype(np.float64)
    matrices = np.zeros((len(springs), MASSES, MASSES))
    masses = np.arange(MASSES)
    matrices[:, masses, masses] = springs[:, :-1] + springs[:, 1:]
    matrices[:, masses[:-1], masses[1:]] = matrices[:, masses[1:], masses[:-1]] = -inner
    return matrices


def positions(springs: NDArray[np.int64], start: NDArray[np.float64], times: NDArray) -> NDArray[np.float64]:
    """Positions (N, T, 4) at ``times`` (T,) in seconds, from ``start`` (N, 4) at rest; exact, by normal modes."""
    squared, modes = np.linalg.eigh(stiffness_matrices(springs))
    amplitudes = np.einsum("nij,ni->nj", modes, start)
    motion = np.cos(np.sqrt(squared)[:, None, :] * times[:, None]) * amplitudes[:, None, :]
    return np.einsum("nij,ntj->nti", modes, motion)


@lru_cache(maxsize=1)
def generate_oscillation(samples: int = 4096, seed: int = 42, shared_springs: bool = False) -> NDArray[np.float32]:
    """Positions (samples, 202, 4) at 402 Hz.

    Springs are whole numbers of 500 to 10,000, drawn for each sample, or once for all with ``shared_springs``; the
    masses start at rest at N(0, 1).
    """
    rng = np.random.default_rng(seed)
    rows = 1 if shared_springs else samples
    springs = rng.integers(LEAST_STIFFNESS, MOST_STIFFNESS, size=(rows, MASSES + 1), endpoint=True)
    springs = np.broadcast_to(springs, (samples, MASSES + 1))
    start = rng.standard_normal((samples, MASSES))
    return positions(springs, start, np.arange(POINTS) / RATE_HZ).astype(np.float32)


def oscillation_set(samples: int, seed: int, shared_springs: bool) -> SeriesSet:
    """The whole set."""
    series = generate_oscillation(samples, seed, shared_springs)
    return SeriesSet("oscillation", tuple(f"mass {index}" for index in range(MASSES)), series)


@dataclass(frozen=True, kw_only=True)
class OscillationTask(GeneratedTask):
    """Prediction of an oscillation, see ``oscillation``; ``shared_springs``: all samples have the same springs."""

    regression = True
    answers = "forecast"
    shares = (0.8, 0.1)
    samples: int = 4096
    shared_springs: bool = False

    outputs = property(lambda self: MASSES)
    in_features = property(lambda self: MASSES)

    def generate(self) -> SequenceSet:
        """See `GeneratedTask.generate`."""
        return oscillation_set(self.samples, self.seed, self.shared_springs)
