"""Which samples make up which batch, in a given epoch, from a given batch on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from ...errors import PumiceError
from .streams import Purpose, stream


class BatchKey(NamedTuple):
    """One batch: its epoch, its number in the epoch and its samples."""

    epoch: int
    number: int
    samples: tuple[int, ...]


class TrainingPlan(Sampler[BatchKey]):
    """The batches of training: a permutation of the samples for each epoch, from (seed, epoch) alone.

    Lightning calls ``set_epoch``. ``resume_at`` makes the next pass start in the middle of an epoch; the batches that
    remain are those an uninterrupted pass would have given.

    Args:
        lengths: events in each sample, (N,).
        batch_size: samples in each batch; the samples left over sit out this epoch.
        seed: of the order.
        bucket_batches: bring samples of similar length together, which saves padding: runs of so many batches of the
            permutation are sorted by length before they are cut, and the batches shuffled. None: plain permutation.

    Raises:
        PumiceError: there are fewer samples than one batch holds.
    """

    def __init__(
        self, lengths: NDArray[np.int64], batch_size: int, seed: int, bucket_batches: int | None = None
    ) -> None:
        if len(lengths) < batch_size:
            raise PumiceError(
                f"a batch of {batch_size} is more than the {len(lengths)} training samples; choose a smaller batch"
            )
        self._lengths, self._batch_size, self._seed = lengths, batch_size, seed
        self._bucket = None if bucket_batches is None else bucket_batches * batch_size
        self.epoch = 0
        self._start = 0
        self._share = slice(None)

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self._lengths) // self._batch_size

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the samples of each batch of an epoch, (batches, batch size)."""
        rng = stream(self._seed, Purpose.ORDER, epoch)
        samples = rng.permutation(len(self._lengths))[: len(self) * self._batch_size]
        if self._bucket is not None:
            for start in range(0, len(samples), self._bucket):
                bucket = samples[start : start + self._bucket]
                samples[start : start + self._bucket] = bucket[np.argsort(self._lengths[bucket], kind="stable")]
        batches = samples.reshape(len(self), self._batch_size)
        return batches if self._bucket is None else rng.permutation(batches)

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be of ``epoch``, from its first batch unless ``resume_at`` named this epoch."""
        if epoch != self.epoch:
            self.epoch, self._start = epoch, 0

    def resume_at(self, epoch: int, next_batch: int) -> None:
        """Let the next pass start at batch ``next_batch`` of ``epoch``; passes after it are whole."""
        self.epoch, self._start = epoch, next_batch

    def share(self, rank: int, processes: int) -> None:
        """Give only the part of each batch that is of one of so many processes; the parts are of one size.

        Raises:
            PumiceError: they cannot be.
        """
        if self._batch_size % processes:
            raise PumiceError(f"a batch of {self._batch_size} cannot be shared by {processes} processes; change one")
        self._share = slice(rank, None, processes)

    @property
    def start(self) -> int:
        """The batch that the next pass starts at."""
        return self._start

    def __iter__(self) -> Iterator[BatchKey]:
        epoch, start, self._start = self.epoch, self._start, 0
        for number, samples in enumerate(self.order(epoch)):
            if number >= start:
                yield BatchKey(epoch, number, tuple(samples[self._share].tolist()))


class FewerSamples(Dataset[Any]):
    """Batches of some samples of a set, whose keys number these.

    Args:
        builder: from a key of the whole set to its batch.
        samples: the numbers that they have in it.
    """

    def __init__(self, builder: Dataset[Any], samples: Sequence[int]) -> None:
        self._builder, self._samples = builder, samples

    def __getitem__(self, key: BatchKey) -> Any:
        return self._builder[key._replace(samples=tuple(self._samples[index] for index in key.samples))]


def evaluation_plan(count: int, batch_size: int) -> list[BatchKey]:
    """Return the batches of all samples in order, the last one perhaps smaller."""
    return [
        BatchKey(0, number, tuple(range(start, min(start + batch_size, count))))
        for number, start in enumerate(range(0, count, batch_size))
    ]
