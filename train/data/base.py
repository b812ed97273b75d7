"""What the data of all kinds of task share: splits, loaders, and batches in a fixed order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from ...errors import PumiceError
from ...program.samples import Sample
from .batch import Batch, check_vocabulary
from .inputs import Timing
from .loader import TrainingLoader
from .plan import BatchKey, TrainingPlan, evaluation_plan
from .streams import Purpose, stream
from .task import SPLITS, hold_out


class TrainingData(LightningDataModule, ABC):
    """What a training asks of its data, beside the loaders.

    Attributes:
        regression: whether values are predicted rather than classes.
    """

    regression = False

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of classes C, or of predicted values."""

    @property
    @abstractmethod
    def judge(self) -> str | None:
        """What the batches of ``val_dataloader``, which choose the epoch that is kept, are called; None for none."""

    @abstractmethod
    def norm_batches(self, count: int) -> Iterator[Any]:
        """Batches of ``count`` training samples, without augmentation: always the same."""

    @property
    def pins(self) -> bool:
        """Whether training batches are to lie in page-locked memory, for a GPU."""
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Look at tokens while they are on the host, then send a batch off; nothing waits for its arrival.

        Raises:
            PumiceError: tokens that the model does not know.
        """
        if device.type != "cpu" and self.trainer is not None:
            module = self.trainer.lightning_module
            check_vocabulary(batch, getattr(module, "model", module))
        return batch.to(device, non_blocking=device.type == "cuda")


class TaskDataModule(TrainingData):
    """Loaders of training, validation and test batches of one task.

    Batches follow from (seed, epoch, number) alone: they are the same for any number of workers and after resuming.
    Files are read when they are first asked for.

    Attributes:
        kind: what a model has to read, ``events`` or ``sequences``.
        decides_on_blocks: whether decisions are on labelled stretches of samples, and not on samples.

    Args:
        task: with ``name``, ``select_on`` and ``validation``.
        batch_size: samples in a training batch.
        eval_batch_size: samples in a batch of evaluation.
        seed: of order and augmentation; not negative.
        num_workers: processes that prepare training batches; 0 prepares them in the training process.
        bucket_batches: see ``plan.TrainingPlan``.
        pin_memory: copy batches to page-locked memory, for devices.
    """

    kind: str
    decides_on_blocks: bool = False

    def __init__(
        self,
        task: Any,
        batch_size: int = 32,
        eval_batch_size: int = 64,
        seed: int = 0,
        num_workers: int = 0,
        bucket_batches: int | None = None,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        limits = {"batch_size": (batch_size, 1), "eval_batch_size": (eval_batch_size, 1), "seed": (seed, 0)}
        limits |= {"num_workers": (num_workers, 0), "bucket_batches": (bucket_batches or 1, 1)}
        for name, (value, least) in limits.items():
            if value < least:
                raise PumiceError(f"{name}={value} is out of range; it has to be at least {least}")
        self.task, self.seed = task, seed
        self._batch_size, self._eval_batch_size, self._bucket_batches = batch_size, eval_batch_size, bucket_batches
        self._workers = {"num_workers": num_workers, "persistent_workers": num_workers > 0, "pin_memory": pin_memory}
        self._samples: dict[str, Any] = {}
        self._resume_at = (0, 0)
        self._share = (0, 1)

    @property
    @abstractmethod
    def model_inputs(self) -> dict[str, int]:
        """What a model has to know of its input: ``vocab`` or ``in_features``."""

    @property
    def timing(self) -> Timing:
        """How the input is timed: by regular steps, unless a kind of task says otherwise."""
        return Timing()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in order of their label."""
        return self.test_dataset.class_names

    @property
    def judge(self) -> str | None:
        """The split that chooses the epoch that is kept, ``validation`` or ``test``; None where nothing does."""
        return None if self.task.select_on == "none" else self.task.select_on

    @property
    def figure_splits(self) -> tuple[str, ...]:
        """The splits that figures are told of; ``validation`` where samples are held out for it."""
        return ("validation", "test") if self.task.select_on == "validation" else ("test",)

    @property
    def train_dataset(self) -> Any:
        """Training samples, without augmentation."""
        return self.samples("train")

    @property
    def val_dataset(self) -> Any:
        """The samples that choose the checkpoint: the test set where the task says so."""
        return self.samples("validation")

    @property
    def test_dataset(self) -> Any:
        """Test samples."""
        return self.samples("test")

    @abstractmethod
    def _open(self, split: str) -> Any:
        """Everything the source holds for ``train``, ``test``, or ``validation`` where it has that of its own."""

    @abstractmethod
    def _choose(self, opened: Any, chosen: NDArray | None, training: bool) -> Any:
        """The samples of what was opened that are numbered ``chosen``; None for all."""

    @abstractmethod
    def _builder(self, samples: Any, training: bool) -> Dataset[Batch]:
        """From a ``plan.BatchKey`` to its batch."""

    def _own_validation(self) -> bool:
        """Whether the source's own validation split is to be used.

        Raises:
            PumiceError: it is asked for and there is none.
        """
        return False

    def samples(self, split: str) -> Any:
        """Return the samples of ``train``, ``validation`` or ``test``, read on first use.

        Raises:
            PumiceError: there is no such split, or its files are missing or damaged.
        """
        if split not in SPLITS:
            raise PumiceError(f"split={split} is unknown; choose one of {', '.join(SPLITS)}")
        if split not in self._samples:
            if split == "test":
                self._samples["test"] = self._choose(self._open("test"), None, False)
            elif split == "validation" and self.task.select_on == "none":
                raise PumiceError(f"task.select_on=none: {self.task.name} holds nothing out for validation")
            elif split == "validation" and self.task.select_on == "test":
                self._samples["validation"] = self.test_dataset
            else:
                self._split_training()
        return self._samples[split]

    def _split_training(self) -> None:
        """Read the training samples and hold out those for validation."""
        opened = self._open("train")
        chosen = None
        own = self._own_validation()
        if self.task.select_on == "validation":
            if own:
                self._samples["validation"] = self._choose(self._open("validation"), None, False)
            else:
                chosen, held = hold_out(opened, self.task.validation)
                self._samples["validation"] = self._choose(opened, held, False)
        self._samples["train"] = self._choose(opened, chosen, True)

    def resume_at(self, epoch: int, next_batch: int) -> None:
        """Let the first pass of the next training loader start in the middle of an epoch.

        For training loops of one's own: Lightning restores the loader's position by itself.
        """
        self._resume_at = (epoch, next_batch)

    def share(self, rank: int, processes: int) -> None:
        """Let loaders that are made from now on give the part of one of so many processes.

        Training batches are cut, those of validation dealt out; fewer of these than processes are everybody's, which
        leaves means as they are.
        """
        self._share = (rank, processes)

    def train_dataloader(self) -> TrainingLoader:
        """Augmented training batches; ``loader.plan.set_epoch`` chooses the epoch, which Lightning calls."""
        return self.training_loader(self.augmenting_builder())

    def augmenting_builder(self) -> Dataset[Batch]:
        """From a ``plan.BatchKey`` of training to its batch, augmented."""
        return self._builder(self.train_dataset, True)

    def plain_builder(self, split: str) -> Dataset[Batch]:
        """From a ``plan.BatchKey`` of a split to its batch, without augmentation."""
        return self._builder(self.samples(split), False)

    def training_loader(self, builder: Dataset[Any], only: Sequence[int] | None = None) -> TrainingLoader:
        """What ``builder`` makes of the batches of training, in their order.

        With ``only`` some training samples: of batches of these, whose keys number them (`plan.FewerSamples`).
        """
        lengths = self.train_dataset.lengths
        lengths = lengths if only is None else np.asarray(lengths)[list(only)]
        plan = TrainingPlan(lengths, self._batch_size, self.seed, self._bucket_batches)
        plan.resume_at(*self._resume_at)
        plan.share(*self._share)
        self._resume_at = (0, 0)
        return TrainingLoader(
            builder, plan, **{**self._workers, "pin_memory": self._workers["pin_memory"] or self.pins}
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation batches in fixed order."""
        rank, processes = self._share
        return self._evaluation_loader("validation", slice(rank, None, processes))

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test batches in fixed order."""
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: str, share: slice = slice(None)) -> DataLoader[Batch]:
        samples = self.samples(split)
        plan = evaluation_plan(len(samples), self._eval_batch_size)
        dealt = plan[share] if len(plan) >= (share.step or 1) else plan
        return DataLoader(self._builder(samples, False), batch_size=None, sampler=dealt)

    def batches(self, split: str, batch_size: int | None = None) -> Iterator[Any]:
        """Go through a split in the order of its samples, without augmentation; also through ``train``.

        Training samples are the slices where the task slices.
        """
        samples = self.samples(split)
        builder = self._builder(samples, False)
        return (builder[key] for key in evaluation_plan(len(samples), batch_size or self._eval_batch_size))

    def norm_batches(self, count: int) -> Iterator[Any]:
        """See `TrainingData.norm_batches`; they are drawn by the seed."""
        builder = self.plain_builder("train")
        return (builder[key] for key in self.drawn(count))

    def drawn(self, count: int, split: str = "train") -> list[BatchKey]:
        """The batches of ``count`` samples of a split: always the same, drawn by the seed."""
        drawn = stream(self.seed, Purpose.NORMS).permutation(len(self.samples(split)))[:count].tolist()
        plan = evaluation_plan(len(drawn), self._eval_batch_size)
        return [BatchKey(0, key.number, tuple(drawn[index] for index in key.samples)) for key in plan]

    def in_order(self, split: str) -> list[BatchKey]:
        """The batches of a split in the order of its samples."""
        return evaluation_plan(len(self.samples(split)), self._eval_batch_size)

    @abstractmethod
    def program_samples(self, split: str, most: int | None = None) -> list[Sample]:
        """What a program reads of each sample of a split, or of the first ``most``, as evaluation crops it."""

    def raw(self, split: str, most: int) -> list[dict[str, NDArray]]:
        """The first samples of a split as they lie in files: columns t, x, y, p of events, or ``rows`` and times t."""
        return [{"rows": np.asarray(values), "t": times} for values, times in self.program_samples(split, most)]

    @abstractmethod
    def labels(self, split: str) -> NDArray[np.int64]:
        """The classes (M,) that a model is to name in a split: one a sample, or one a labelled block."""

    @abstractmethod
    def speakers(self, split: str) -> NDArray[np.int64] | None:
        """Who was recorded, for each of the `labels` of a split; None where unknown."""

    def check_windows(self, window: int) -> str | None:
        """Whether training samples fill a window of so many events, what a model's pooled stages need to see any.

        Returns:
            a sentence where some do not; None where all do.

        Raises:
            PumiceError: none does.
        """
        return None

    def other_protocols(self) -> Mapping[str, TaskDataModule]:
        """The same data counted in other ways, by name; figures are reported by those as well."""
        return {}
