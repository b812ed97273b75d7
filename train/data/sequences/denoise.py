"""Recordings in bins with noise, from which the clean rates of their channels are to be told at every step."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ..streams import Purpose, stream
from .batch import LabelledSequence
from .binned import BinnedSet, BinnedTask
from .sets import SequenceSet, Streams


def smoothed(counts: NDArray[np.float32], tau_bins: float) -> NDArray[np.float32]:
    """Counts (T, F) as rates: ``r_t = a r_{t-1} + (1 - a) c_t`` with ``a = exp(-1 / tau_bins)``, r = 0 before them."""
    keep, rates = exp(-1 / tau_bins), np.zeros_like(counts, dtype=np.float64)
    held = np.zeros(counts.shape[1])
    for step, row in enumerate(counts):
        held = keep * held + (1 - keep) * row
        rates[step] = held
    return rates.astype(np.float32)


def disturbed(counts: NDArray[np.float32], lost: float, noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Counts (T, F) of which each event is lost with probability ``lost``, and to which Poisson noise is added."""
    kept = rng.binomial(counts.astype(np.int64), 1 - lost)
    return (kept + rng.poisson(noise, counts.shape)).astype(np.float32)


class DenoiseSet(BinnedSet):
    """Disturbed counts, and the rates of the clean ones as values of every step; see `DenoiseTask`.

    In training the disturbance is another in every epoch; elsewhere it is that of the task's seed.
    """

    _task: DenoiseTask

    def __init__(self, recordings: Any, task: DenoiseTask, chosen: NDArray[np.int64] | None = None) -> None:
        super().__init__(recordings, task, chosen)
        group = task.group
        self.class_names = tuple(f"channels {k * group} to {(k + 1) * group - 1}" for k in range(task.in_features))

    def subset(self, chosen: NDArray[np.int64]) -> DenoiseSet:
        """See `SequenceSet.subset`."""
        return DenoiseSet(self._recordings, self._task, self._chosen[chosen])

    def raw(self, index: int) -> dict[str, NDArray] | None:  # type: ignore[override]
        """None: the events are not what a model reads."""
        return None

    def _sequence(self, index: int, streams: Streams | None) -> LabelledSequence:
        task, recording = self._task, int(self._chosen[index])
        rng = stream(task.noise_seed, Purpose.SAMPLE, 0, recording) if streams is None else streams(index)
        counts = self._counts(index, None if streams is None else rng)
        targets = smoothed(counts, task.tau_ms / task.bin_ms)
        unknown = np.full((1, task.in_features), np.nan, dtype=np.float32)
        inputs = disturbed(counts, task.lost, task.noise, rng)
        return LabelledSequence(inputs, np.arange(1, len(counts) + 1), np.concatenate([unknown, targets]))


@dataclass(frozen=True, kw_only=True)
class DenoiseTask(BinnedTask):
    """Recordings of one-dimensional sensors in bins, disturbed, whose clean rates are to be told at every step.

    noise: events that are added to a bin of a group of channels, the mean of a Poisson distribution.
    lost: probability of an event to be lost.
    tau_ms: time constant of the clean rates, an exponential mean of the counts so far.
    noise_seed: of the disturbance of samples that are not trained on, by the number of the recording.
    Others: as of `BinnedTask`; ``num_classes`` are those of the source, whose labels are not used.
    """

    regression = True
    answers = "value"
    noise: float = 2.0
    lost: float = 0.5
    tau_ms: float = 20.0
    noise_seed: int = 0
    fewest_bins: int = 1
    ignored_bins: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.noise <= 100:
            raise PumiceError(f"task.noise={self.noise} is out of range; it lies between 0 and 100 events a bin")
        if not 0 <= self.lost < 1:
            raise PumiceError(f"task.lost={self.lost} is out of range; it is a probability below 1")
        if not self.tau_ms > 0:
            raise PumiceError(f"task.tau_ms={self.tau_ms} has to be above 0")

    outputs = property(lambda self: self.in_features)

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        return DenoiseSet(self.recordings(split), self)
