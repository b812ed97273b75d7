"""Sequences of regular steps as events, for models that read events: every step is one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils.data import Dataset

from ....errors import PumiceError
from ..events.batch import EventBatch
from ..inputs import Inputs, Timing
from ..plan import BatchKey
from .batch import BlockBatch, SeriesBatch
from .datamodule import SequenceDataModule
from .sets import SequenceSet


def stepwise(inputs: Tensor, lengths: Tensor, step_ms: float) -> Inputs:
    """Padded vectors (B, T, F) or tokens (B, T) of so many steps (B,) as events, ``step_ms`` apart.

    The first has no interval before it, as the first event of a recording has none.
    """
    real = torch.arange(inputs.shape[1]) < lengths.unsqueeze(1)
    dt = torch.full(inputs.shape[:2], step_ms) * real
    dt[:, :1] = 0
    return Inputs(inputs if inputs.dim() == 3 else inputs.masked_fill(~real, -1), dt, lengths)


class StepwiseBuilder(Dataset[EventBatch]):
    """Batches of labelled sequences as batches of events; C ``classes``."""

    def __init__(self, blocks: Dataset[BlockBatch | SeriesBatch], step_ms: float, classes: int) -> None:
        self._blocks, self._step_ms, self._classes = blocks, step_ms, classes

    def __getitem__(self, key: BatchKey) -> EventBatch:
        batch = self._blocks[key]
        assert isinstance(batch, BlockBatch)
        targets = one_hot(batch.targets[:, -1], self._classes).to(torch.float32)
        return EventBatch.of(stepwise(batch.inputs, batch.lengths, self._step_ms), targets)


class StepwiseDataModule(SequenceDataModule):
    """Loaders of ``EventBatch`` of a sequence task with one label a sequence, which is that of all its steps."""

    kind = "events"

    @classmethod
    def of(cls, data: SequenceDataModule) -> StepwiseDataModule:
        """The same data, read step by step.

        Raises:
            PumiceError: its task has other answers than one label a sequence.
        """
        if not data.task.one_label:
            raise PumiceError(
                f"task {data.task.name} has not one label a sequence, and a model that reads events gives one; choose "
                "another task, or another model for this one"
            )
        made = cls(data.task, data._batch_size, data._eval_batch_size, data.seed, bucket_batches=data._bucket_batches)
        made._workers = data._workers
        return made

    @property
    def step_ms(self) -> float:
        """Milliseconds of a step."""
        return self.step_us / 1000

    @property
    def timing(self) -> Timing:
        """A tick is a step."""
        return Timing(tick_ms=self.step_ms)

    def check_windows(self, window: int) -> str | None:
        """See `TaskDataModule.check_windows`."""
        samples = self.train_dataset
        longest = int(samples.lengths.max())
        if longest < window:
            raise PumiceError(
                f"no training sequence of {self.task.name} fills the model's window of {window} steps, the longest has "
                f"{longest}; lower model.stride or model.stages"
            )
        short = int((samples.lengths < window).sum())
        if not short:
            return None
        return f"{short:,} of {len(samples):,} training sequences have fewer steps than the model's window of {window}"

    def other_protocols(self) -> dict[str, SequenceDataModule]:
        """See `TaskDataModule.other_protocols`."""
        return {name: StepwiseDataModule.of(data) for name, data in super().other_protocols().items()}

    def _builder(self, samples: SequenceSet, training: bool) -> StepwiseBuilder:  # type: ignore[override]
        return StepwiseBuilder(super()._builder(samples, training), self.step_ms, self.num_classes)
