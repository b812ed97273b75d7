"""The data of fine-tuning: training batches and those that choose, with what the float model says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from ...errors import PumiceError
from ...terminal import progress
from ...train.data.base import TaskDataModule, TrainingData
from ...train.data.listed import ListedData
from ...train.data.plan import FewerSamples, evaluation_plan
from .judge import Judge
from .teacher import Powers, TaughtBatch, Teacher, teach_samples


class JudgedBatches(Dataset[TaughtBatch]):
    """The batches that choose, by number, with the float model's logits."""

    def __init__(self, judge: Judge, teacher: Teacher) -> None:
        self._judge = judge
        self._taught = [teacher.teach(batch).taught for batch in judge]

    def __len__(self) -> int:
        return len(self._judge)

    def __getitem__(self, number: int) -> TaughtBatch:
        return TaughtBatch(self._judge[number], self._taught[number])


class TaughtData(TrainingData):
    """Batches of a task, or batches at hand, for `Distillation`.

    Args:
        data: what is trained on.
        judge: what chooses the epoch.
        teacher: the float model.
        folder: for what it says of training samples, which may be more than memory holds.
    """

    def __init__(self, data: TaskDataModule | ListedData, judge: Judge, teacher: Teacher, folder: Path) -> None:
        super().__init__()
        self._data, self._judge, self._tuning = data, judge, teacher.tuning
        self.powers: dict[str, float] = {}
        self._only = _drawn(data, teacher.tuning.samples)
        if teacher.tuning.taught:
            self._teach(teacher, folder)
        self._judged = JudgedBatches(judge, teacher)

    def _teach(self, teacher: Teacher, folder: Path) -> None:
        if isinstance(self._data, ListedData):
            powers, self._listed = Powers(), []
            for batch in self._data.train_dataloader():
                self._listed.append(teacher.teach(batch, powers))
            self.powers = powers.means()
            return
        keys = self._data.in_order("train")
        if self._only is not None:
            keys = evaluation_plan(len(self._only), len(keys[0].samples))
        with progress("what the float model says, batches", len(keys)) as step:
            self._samples, self.powers = teach_samples(
                teacher,
                self._fewer(self._data.plain_builder("train")),
                keys,
                folder,
                lambda samples: step(),
            )

    @property
    def num_classes(self) -> int:
        """See `TrainingData`."""
        return self._data.num_classes

    @property
    def judge(self) -> str:
        """See `TrainingData`."""
        return self._judge.name

    def norm_batches(self, count: int) -> Iterator[Any]:
        """See `TrainingData`."""
        return self._data.norm_batches(count)

    def train_dataloader(self) -> Any:
        """Training batches; taught ones where the float model teaches."""
        if isinstance(self._data, ListedData):
            if not self._tuning.taught:
                return self._data.train_dataloader()
            return DataLoader(self._listed, batch_size=None)  # type: ignore[arg-type]  # a list is data enough
        if self._tuning.taught:
            return self._data.training_loader(self._samples, self._only)
        plain = not self._tuning.augmentation
        builder = self._data.plain_builder("train") if plain else self._data.augmenting_builder()
        return self._data.training_loader(self._fewer(builder), self._only)

    def _fewer(self, builder: Dataset[Any]) -> Dataset[Any]:
        return builder if self._only is None else FewerSamples(builder, self._only)

    def val_dataloader(self) -> DataLoader[TaughtBatch]:
        """The batches that choose."""
        return DataLoader(self._judged, batch_size=None)


def _drawn(data: TaskDataModule | ListedData, samples: int | None) -> list[int] | None:
    """The training samples of a pass in their order, by number; None for all.

    Raises:
        PumiceError: batches at hand are all taken.
    """
    if samples is None:
        return None
    if isinstance(data, ListedData):
        raise PumiceError("quantize.qat.samples draws from a task's data; give fewer batches, or leave it out")
    found = sorted(index for key in data.drawn(samples) for index in key.samples)
    return found if len(found) < len(data.samples("train")) else None
