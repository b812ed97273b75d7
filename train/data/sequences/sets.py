"""Sets of sequences: what a split of a sequence task holds, and how it becomes a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from .batch import BlockBatch, SeriesBatch

Streams = Callable[[int], np.random.Generator]
"""From the number of a sample to its random numbers."""


class SequenceSet(ABC):
    """N sequences.

    name: where they came from, for messages.
    class_names: names of the classes, or of the predicted values.
    in_features: width F of the input.
    lengths: int64 (N,), steps in each sequence.
    speakers: int64 (N,), who was recorded, or None where unknown.
    """

    name: str
    class_names: tuple[str, ...]
    in_features: int
    lengths: NDArray[np.int64]
    speakers: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @abstractmethod
    def subset(self, chosen: NDArray[np.int64]) -> SequenceSet:
        """The sequences numbered ``chosen``."""

    def raw(self, index: int) -> dict[str, NDArray] | None:
        """The columns of the events that a sequence was made of; None where it was made of none."""
        return None

    @abstractmethod
    def batch(self, samples: Sequence[int], streams: Streams | None) -> BlockBatch | SeriesBatch:
        """The batch of ``samples``; ``streams`` is given in training, for sets that augment."""


class BlockSet(SequenceSet):
    """Labelled sequences of equal length and equal blocks, held in memory.

    Args:
        name: for messages.
        class_names: of the classes.
        inputs: (N, T, F), any number type.
        blocks: int64 (T,), see ``batch.LabelledSequence``.
        targets: int64 (N, blocks).
    """

    def __init__(
        self, name: str, class_names: tuple[str, ...], inputs: NDArray, blocks: NDArray[np.int64], targets: NDArray
    ) -> None:
        self.name, self.class_names, self.in_features = name, class_names, inputs.shape[2]
        self.lengths = np.full(len(inputs), inputs.shape[1], dtype=np.int64)
        self.inputs, self.blocks, self.targets = inputs, blocks, targets

    def subset(self, chosen: NDArray[np.int64]) -> BlockSet:
        """See `SequenceSet.subset`."""
        return BlockSet(self.name, self.class_names, self.inputs[chosen], self.blocks, self.targets[chosen])

    def batch(self, samples: Sequence[int], streams: Streams | None) -> BlockBatch:
        """See `SequenceSet.batch`."""
        rows = list(samples)
        return BlockBatch(
            torch.from_numpy(self.inputs[rows].astype(np.float32)),
            torch.from_numpy(self.blocks).expand(len(rows), -1),
            torch.from_numpy(self.targets[rows].astype(np.int64)),
            torch.from_numpy(self.lengths[rows]),
        )


class SeriesSet(SequenceSet):
    """Series to be predicted one step ahead: x[t + 1] from x[t], from the middle on from its own prediction.

    Args:
        name: for messages.
        class_names: of the F values.
        series: (N, T + 1, F).
    """

    def __init__(self, name: str, class_names: tuple[str, ...], series: NDArray[np.float32]) -> None:
        self.name, self.class_names, self.in_features = name, class_names, series.shape[2]
        self.lengths = np.full(len(series), series.shape[1] - 1, dtype=np.int64)
        self.series = series

    def subset(self, chosen: NDArray[np.int64]) -> SeriesSet:
        """See `SequenceSet.subset`."""
        return SeriesSet(self.name, self.class_names, self.series[chosen])

    def batch(self, samples: Sequence[int], streams: Streams | None) -> SeriesBatch:
        """See `SequenceSet.batch`."""
        series = torch.from_numpy(self.series[list(samples)])
        return SeriesBatch(series[:, :-1], series[:, 1:], torch.tensor(series.shape[1] // 2))
