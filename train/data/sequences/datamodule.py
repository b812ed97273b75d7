"""The data of a sequence task, for training with Lightning and for the stages after it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ....errors import PumiceError
from ....program.samples import Sample
from ..base import TaskDataModule
from ..inputs import Timing
from ..plan import BatchKey, evaluation_plan
from ..streams import Purpose, stream
from .batch import BlockBatch, SeriesBatch, counted
from .sets import SequenceSet
from .task import SequenceTask


class SequenceBatchBuilder(Dataset[BlockBatch | SeriesBatch]):
    """Builds the batch of a ``BatchKey``; the same key always gives the same batch.

    Args:
        samples: of one split.
        training: augment, where the set does.
        seed: of the augmentation.
    """

    def __init__(self, samples: SequenceSet, training: bool, seed: int) -> None:
        self._samples, self._training, self._seed = samples, training, seed

    def __getitem__(self, key: BatchKey) -> BlockBatch | SeriesBatch:
        def streams(index: int) -> np.random.Generator:
            return stream(self._seed, Purpose.SAMPLE, key.epoch, index)

        return self._samples.batch(key.samples, streams if self._training else None)


class SequenceDataModule(TaskDataModule):
    """Loaders of ``BlockBatch`` or ``SeriesBatch`` of one sequence task; samples are ``sets.SequenceSet``.

    ``task`` is a ``tasks.SequenceTask``; ``tasks.sequence_task`` builds one from a configuration. The other arguments
    are those of ``base.TaskDataModule``.
    """

    kind = "sequences"
    task: SequenceTask

    @property
    def decides_on_blocks(self) -> bool:  # type: ignore[override]
        """Whatever is asked but a forecast, which is of whole series."""
        return self.task.answers != "forecast"

    @property
    def regression(self) -> bool:  # type: ignore[override]
        """Whether values are predicted rather than classes."""
        return self.task.regression

    @property
    def num_classes(self) -> int:
        """Number of classes, or of predicted values."""
        return self.task.outputs

    @property
    def model_inputs(self) -> dict[str, int]:
        """The width of the input, or the vocabulary."""
        return {"in_features": self.task.in_features} if self.task.vocab is None else {"vocab": self.task.vocab}

    @property
    def step_us(self) -> int:
        """Microseconds from one step to the next; a millisecond where the task gives its steps no length."""
        return self.task.step_us or 1000

    @property
    def timing(self) -> Timing:
        """Regular steps of the task's length."""
        return Timing(step_us=self.task.step_us)

    def program_samples(self, split: str, most: int | None = None) -> list[Sample]:
        """Values and times of each sequence, a step every ``task.step_us``, or every millisecond."""
        inputs = [batch.inputs[0].numpy() for batch in islice(self._single(split), most)]
        return [(values, self.step_us * np.arange(len(values), dtype=np.int64)) for values in inputs]

    def raw(self, split: str, most: int) -> list[dict[str, NDArray]]:
        """See `TaskDataModule.raw`."""
        samples: SequenceSet = self.samples(split)
        found = [samples.raw(index) for index in range(min(most, len(samples)))]
        events = [columns for columns in found if columns is not None]
        return events or super().raw(split, most)

    def labels(self, split: str) -> NDArray[Any]:
        """One class (M,) a labelled block, or its values (M, F)."""
        return torch.cat([batch.targets[counted(batch.targets)] for batch in self._single(split)]).numpy()

    def recordings(self, split: str) -> NDArray[np.int64]:
        """The number of the sequence that each of the `labels` belongs to, (M,)."""
        counts = [int(counted(batch.targets).sum()) for batch in self._single(split)]
        return np.repeat(np.arange(len(counts)), counts)

    def speakers(self, split: str) -> NDArray[np.int64] | None:
        """See `TaskDataModule.speakers`."""
        known = self.samples(split).speakers
        if known is None:
            return None
        return np.repeat(known, np.bincount(self.recordings(split), minlength=len(known)))

    def _single(self, split: str) -> Iterator[BlockBatch | SeriesBatch]:
        """Each sequence of a split as the task has it, whatever batches are made of them for models."""
        samples = self.samples(split)
        builder = SequenceBatchBuilder(samples, False, self.seed)
        return (builder[key] for key in evaluation_plan(len(samples), 1))

    def _open(self, split: str) -> SequenceSet:
        return self.task.open(split)

    def _choose(self, opened: SequenceSet, chosen: NDArray | None, training: bool) -> SequenceSet:
        return opened if chosen is None else opened.subset(chosen)

    def _builder(self, samples: SequenceSet, training: bool) -> SequenceBatchBuilder:
        return SequenceBatchBuilder(samples, training, self.seed)

    def _own_validation(self) -> bool:
        own = self.task.validation.by == "own"
        if own and not self.task.own_validation:
            raise PumiceError(f"task.validation.by=own: {self.task.name} has no such split; choose sample or speaker")
        return own

    def other_protocols(self) -> dict[str, SequenceDataModule]:
        """See `TaskDataModule.other_protocols`."""
        return {
            name: SequenceDataModule(
                task,
                batch_size=self._batch_size,
                eval_batch_size=self._eval_batch_size,
                seed=self.seed,
            )
            for name, task in self.task.other_protocols().items()
        }
