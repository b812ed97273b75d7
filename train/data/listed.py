"""Batches at hand as the data of a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import DataLoader

from .base import TrainingData
from .batch import Batch, PaddedBatch


class ListedData(TrainingData):
    """Training and validation on lists of batches, in their order.

    Args:
        train: labelled batches, none of them augmented.
        validation: those that choose the epoch.
        num_classes: C.
    """

    judge = "validation"

    def __init__(self, train: Sequence[Batch], validation: Sequence[Batch], num_classes: int) -> None:
        super().__init__()
        self._num_classes = num_classes
        self._batches = {"train": list(train), "validation": list(validation)}

    @property
    def num_classes(self) -> int:
        """C."""
        return self._num_classes

    def train_dataloader(self) -> DataLoader[Batch]:
        """All training batches."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """All validation batches."""
        return self._loader("validation")

    def norm_batches(self, count: int) -> Iterator[Batch]:
        """Training batches, up to the one in which ``count`` samples are reached."""
        seen = 0
        for batch in self._batches["train"]:
            if seen >= count:
                return
            seen += len(batch.padded().lengths) if isinstance(batch, PaddedBatch) else count
            yield batch

    def _loader(self, split: str) -> DataLoader[Batch]:
        return DataLoader(self._batches[split], batch_size=None, pin_memory=self.pins)  # type: ignore[arg-type]  # a list is data enough
