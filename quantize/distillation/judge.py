"""What chooses among quantized models: how far their logits are from the float model's, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...train.data.base import TaskDataModule
from ...train.data.batch import Batch

VALIDATION, TRAINING = "validation", "training"
MOST_TRAINING = 256
"""Training samples that choose where nothing is held out."""


class Judge(Sequence[Batch]):
    """Batches that choose, made when they are asked for.

    Attributes:
        name: ``VALIDATION``, or ``TRAINING`` where no samples are held out of it. Test samples choose nothing.

    Args:
        name: see above.
        builder: from a key to a batch.
        keys: of the batches.
    """

    def __init__(self, name: str, builder: Any, keys: Sequence[Any]) -> None:
        self.name = name
        self._builder, self._keys = builder, keys

    @classmethod
    def of_task(cls, data: TaskDataModule, most: int | None = None) -> Judge:
        """The validation split of a task, or ``most`` of its samples, drawn by the task's seed.

        Training samples where it has no validation split of its own.
        """
        if data.judge == VALIDATION:
            fewer = most is not None and most < len(data.samples(VALIDATION))
            keys = data.drawn(most or 0, VALIDATION) if fewer else data.in_order(VALIDATION)
            return cls(VALIDATION, data.plain_builder(VALIDATION), keys)
        return cls(TRAINING, data.plain_builder("train"), data.drawn(min(MOST_TRAINING, most or MOST_TRAINING)))

    @classmethod
    def of_batches(cls, name: str, batches: Sequence[Batch]) -> Judge:
        """Batches at hand."""
        return cls(name, batches, range(len(batches)))

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: Any) -> Any:
        return self._builder[self._keys[number]]

    def __iter__(self) -> Iterator[Batch]:
        return (self._builder[key] for key in self._keys)
