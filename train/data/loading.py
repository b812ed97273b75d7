"""Building batches, and loading them in the order of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from .batch import EventBatch
from .collate import collate
from .cutmix import cut_mix
from .events import Events
from .plan import BatchKey, TrainingPlan
from .samples import EventSamples
from .streams import Purpose, stream
from .task import TaskConfig


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
        self._one_hot = np.eye(task.num_classes, dtype=np.float32)
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
            sensor=self.task.sensor,
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


class TrainingLoader(DataLoader[EventBatch]):
    """Loads the batches of a ``TrainingPlan`` and knows how many of them were handed out.

    Lightning saves ``state_dict`` in its checkpoints and restores it, so that an interrupted epoch goes on where it
    stopped. Batches that workers prepare ahead do not count.
    """

    def __init__(self, builder: BatchBuilder, plan: TrainingPlan, **arguments: Any) -> None:
        super().__init__(builder, batch_size=None, sampler=plan, **arguments)
        self.plan = plan
        self._next_batch = plan.start

    def __iter__(self) -> Iterator[EventBatch]:  # type: ignore[override]
        self._next_batch = self.plan.start
        for batch in super().__iter__():
            self._next_batch += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the position: the epoch and the batch that comes next."""
        return {"epoch": self.plan.epoch, "next_batch": self._next_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position."""
        self.plan.resume_at(state["epoch"], state["next_batch"])
        self._next_batch = state["next_batch"]
