"""Sequences of regular steps as events, for models that read events: every step is one."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.utils.data import Dataset

from ....errors import PumiceError
from ....models.adlif.blocks import aggregate, at_steps
from ..events.batch import EventBatch
from ..inputs import Inputs, Timing
from ..plan import BatchKey
from .batch import BlockBatch, SeriesBatch, chosen, counted_rows
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


class EventBlockBatch(NamedTuple):
    """A padded batch of B sequences of events, cut into labelled blocks, for models that answer at every window.

    tokens: int64 (B, L), -1 after the last event; or dense input, float (B, L, d_in).
    dt: float32 (B, L), milliseconds before each event, 0 in the padding.
    lengths: int64 (B,), events of each sequence.
    blocks, targets: as of `BlockBatch`, an event a step.
    every: events of a window.
    rows: as of `BlockBatch`.
    """

    tokens: Tensor
    dt: Tensor
    lengths: Tensor
    blocks: Tensor
    targets: Tensor
    every: int
    rows: Tensor | None = None

    @classmethod
    def of(cls, inputs: Inputs, blocks: Tensor, targets: Tensor, every: int) -> EventBlockBatch:
        """Events with their blocks."""
        values, dt, lengths, _ = inputs.events()
        return cls(values, dt, lengths, blocks, targets, every)

    def to(self, device: Any, non_blocking: bool = False) -> EventBlockBatch:
        """Return the batch on ``device``."""
        parts: dict[str, Any] = {name: part for name, part in self._asdict().items() if isinstance(part, Tensor)}
        if self.targets.device.type == "cpu" != torch.device(device).type:
            parts["rows"] = counted_rows(self.targets)
        return self._replace(**{name: part.to(device, non_blocking=non_blocking) for name, part in parts.items()})

    def apply(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """The model's logits (M, C) for the M blocks that are not ignored, and their classes (M,) or values (M, C)."""
        logits = self.answers(model, self.blocks, self.targets.shape[1])
        return chosen(logits, self.targets, self.rows)

    def answers(self, model: nn.Module, blocks: Tensor, count: int) -> Tensor:
        """The model's logits (B, N, C) of ``count`` other blocks (B, L): the mean over the events of each."""
        logits = model(self.tokens, self.dt, self.lengths, self.dt)
        return aggregate(at_steps(logits, self.lengths, self.dt.shape[1], self.every), blocks, count, "mean")

    def padded(self) -> Inputs:
        """The samples as a model reads them."""
        return Inputs(self.tokens, self.dt, self.lengths, self.dt)


class StepwiseBuilder(Dataset[EventBatch | EventBlockBatch]):
    """Batches of labelled sequences as batches of events; C ``classes``, and events of each answer of the model."""

    def __init__(
        self, blocks: Dataset[BlockBatch | SeriesBatch], step_ms: float, classes: int, every: int | None
    ) -> None:
        self._blocks, self._step_ms, self._classes, self._every = blocks, step_ms, classes, every

    def __getitem__(self, key: BatchKey) -> EventBatch | EventBlockBatch:
        batch = self._blocks[key]
        assert isinstance(batch, BlockBatch)
        inputs = stepwise(batch.inputs, batch.lengths, self._step_ms)
        if self._every is not None:
            return EventBlockBatch.of(inputs, batch.blocks, batch.targets, self._every)
        return EventBatch.of(inputs, one_hot(batch.targets[:, -1], self._classes).to(torch.float32))


class StepwiseDataModule(SequenceDataModule):
    """Loaders of ``EventBatch`` of a sequence task with one label a sequence, which is that of all its steps, or of
    ``EventBlockBatch`` of any with labels.

    Attributes:
        every: events of each answer of the model; None of one that gives one answer to a sequence.
    """

    kind = "events"
    every: int | None = None

    @classmethod
    def of(cls, data: SequenceDataModule, every: int | None = None) -> StepwiseDataModule:
        """The same data, read step by step.

        Raises:
            PumiceError: its task wants other answers than the model gives.
        """
        answers = data.task.answers
        if answers not in ("sequence", *(("step", "value") if every else ())):
            cure = "model.head=steps" if answers in ("step", "value") else "another task"
            raise PumiceError(
                f"task {data.task.name} has not one label a sequence, and a model that reads events gives one; choose "
                f"{cure}, or another model for this task"
            )
        made = cls(data.task, data._batch_size, data._eval_batch_size, data.seed, bucket_batches=data._bucket_batches)
        made._workers, made.every = data._workers, every
        return made

    @property
    def decides_on_blocks(self) -> bool:  # type: ignore[override]
        """Where the model answers at every window."""
        return self.every is not None

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
        return {name: StepwiseDataModule.of(data, self.every) for name, data in super().other_protocols().items()}

    def _builder(self, samples: SequenceSet, training: bool) -> StepwiseBuilder:  # type: ignore[override]
        return StepwiseBuilder(super()._builder(samples, training), self.step_ms, self.num_classes, self.every)
