"""Building batches, and loading them in the order of a plan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ..plan import BatchKey
from ..recordings import Events
from ..streams import Purpose, stream
from ..task import TaskConfig
from .batch import EventBatch
from .collate import collate
from .cutmix import cut_mix
from .samples import EventSamples


class BatchBuilder(Dataset[EventBatch]):
    """Builds the batch of a ``BatchKey``; the same key always gives the same batch.

    Args:
        samples: of one split.
        task: tokens, times, padding and augmentation.
        training: augment and mix, crop at random places, pad to the unit of training.
        seed: of the augmentation.
    """

    def __init__(self, samples: EventSamples, task: TaskConfig, training: bool, seed: int = 0) -> None:
        self.samples, self.task, self.training, self._seed = samples, task, training, seed
        self._augment = task.build_augmentation()
        self._one_hot = np.eye(task.num_classes or len(samples.class_names), dtype=np.float32)
        self._pad_unit = task.train_pad_unit if training and task.train_pad_unit else task.pad_unit

    def __getitem__(self, key: BatchKey) -> EventBatch:
        sequences = [self._sequence(key.epoch, index) for index in key.samples]
        targets = self._one_hot[self.samples.labels[list(key.samples)]]
        if self.training:
            rng = stream(self._seed, Purpose.BATCH, key.epoch, key.number)
            sequences, targets = self._mix_and_crop(sequences, targets, rng)
        elif self.task.max_events is not None:
            sequences = [events[: self.task.max_events] for events in sequences]
        return collate(
            sequences,
            targets,
            sensor=self.task.grid,
            token=self.task.token,
            tick_ms=self.task.tick_ms,
            pairing=self.task.pairing,
            pad_unit=self._pad_unit,
        )

    def _sequence(self, epoch: int, index: int) -> Events:
        events, _ = self.samples[index]
        if not self.training:
            return events
        return self._augment(events, stream(self._seed, Purpose.SAMPLE, epoch, index))

    def _mix_and_crop(
        self, sequences: list[Events], targets: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[list[Events], NDArray[np.float32]]:
        """Mix some batches, crop long sequences; a mixed label weighs the events that are left of either sample."""
        partners: NDArray[np.int64] = np.arange(len(sequences))
        foreign = [np.zeros(len(events), dtype=bool) for events in sequences]
        if rng.random() < self.task.cut_mix:
            sequences, partners, foreign = cut_mix(sequences, rng)
        if self.task.max_events is not None:
            for row, events in enumerate(sequences):
                if len(events) > self.task.max_events:
                    start = int(rng.integers(len(events) - self.task.max_events + 1))
                    window = slice(start, start + self.task.max_events)
                    sequences[row], foreign[row] = events[window], foreign[row][window]
        weights = np.array([mask.mean() for mask in foreign])[:, None]
        return sequences, ((1 - weights) * targets + weights * targets[partners]).astype(np.float32)
