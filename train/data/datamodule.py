"""The data of a task, for training with Lightning and for the stages after it."""

from __future__ import annotations

from collections.abc import Iterator

from lightning import LightningDataModule
from torch.utils.data import DataLoader

from ...errors import PumiceError
from .batch import EventBatch
from .loading import BatchBuilder, TrainingLoader
from .plan import TrainingPlan, evaluation_plan
from .samples import EventSamples, hold_out
from .sources.registry import OWN_VALIDATION, open_recordings
from .task import SPLITS, TaskConfig


class EventDataModule(LightningDataModule):
    """Loaders of training, validation and test batches (``EventBatch``) of one task.

    Batches follow from (seed, epoch, number) alone: they are the same for any number of workers and after resuming.
    Files are read when they are first asked for.

    Args:
        task: see ``task.TaskConfig``; ``task.task_config`` builds one from a configuration.
        batch_size: samples in a training batch.
        eval_batch_size: samples in a batch of evaluation.
        seed: of order and augmentation; not negative.
        num_workers: processes that prepare training batches; 0 prepares them in the training process.
        bucket_batches: see ``plan.TrainingPlan``.
        pin_memory: copy batches to page-locked memory, for devices.
    """

    def __init__(
        self,
        task: TaskConfig,
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
        self._samples: dict[str, EventSamples] = {}
        self._resume_at = (0, 0)

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.task.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in order of their label."""
        return self.test_dataset.class_names

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return self.task.vocab

    @property
    def tick_ms(self) -> float | None:
        """Length of a tick in milliseconds; None where times are exact."""
        return self.task.tick_ms

    @property
    def train_dataset(self) -> EventSamples:
        """Training samples: raw events, labels, class names."""
        return self.samples("train")

    @property
    def val_dataset(self) -> EventSamples:
        """The samples that choose the checkpoint: the test set where the task says so."""
        return self.samples("validation")

    @property
    def test_dataset(self) -> EventSamples:
        """Test samples."""
        return self.samples("test")

    def samples(self, split: str) -> EventSamples:
        """Return the samples of ``train``, ``validation`` or ``test``, read on first use.

        Raises:
            PumiceError: there is no such split, or its files are missing or damaged.
        """
        if split not in SPLITS:
            raise PumiceError(f"split={split} is unknown; choose one of {', '.join(SPLITS)}")
        if split not in self._samples:
            if split == "test":
                self._samples["test"] = EventSamples(open_recordings(self.task, "test"))
            elif split == "validation" and self.task.select_on == "test":
                self._samples["validation"] = self.test_dataset
            else:
                self._split_training()
        return self._samples[split]

    def _split_training(self) -> None:
        """Read the training recordings and hold out those for validation."""
        recordings = open_recordings(self.task, "train")
        chosen = held = None
        own = self.task.validation.by == "own"
        if own and self.task.source not in OWN_VALIDATION:
            raise PumiceError(
                f"task.validation.by=own: {self.task.source} has no split of its own for it; choose sample or speaker"
            )
        if self.task.select_on == "validation":
            if own:
                self._samples["validation"] = EventSamples(open_recordings(self.task, "validation"))
            else:
                chosen, held = hold_out(recordings, self.task.validation)
                self._samples["validation"] = EventSamples(recordings, held)
        self._samples["train"] = EventSamples(
            recordings, chosen, self.task.slice_events, fewest=self.task.fewest_events
        )

    def resume_at(self, epoch: int, next_batch: int) -> None:
        """Let the first pass of the next training loader start in the middle of an epoch.

        For training loops of one's own: Lightning restores the loader's position by itself.
        """
        self._resume_at = (epoch, next_batch)

    def train_dataloader(self) -> TrainingLoader:
        """Augmented training batches; ``loader.plan.set_epoch`` chooses the epoch, which Lightning calls."""
        samples = self.train_dataset
        plan = TrainingPlan(samples.lengths, self._batch_size, self.seed, self._bucket_batches)
        plan.resume_at(*self._resume_at)
        self._resume_at = (0, 0)
        return TrainingLoader(BatchBuilder(samples, self.task, True, self.seed), plan, **self._workers)

    def val_dataloader(self) -> DataLoader[EventBatch]:
        """Validation batches in fixed order."""
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> DataLoader[EventBatch]:
        """Test batches in fixed order."""
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: str) -> DataLoader[EventBatch]:
        samples = self.samples(split)
        builder = BatchBuilder(samples, self.task, training=False)
        return DataLoader(builder, batch_size=None, sampler=evaluation_plan(len(samples), self._eval_batch_size))

    def batches(self, split: str, batch_size: int | None = None) -> Iterator[EventBatch]:
        """Go through a split in the order of its samples, without augmentation; also through ``train``.

        Training samples are the slices where the task slices.
        """
        samples = self.samples(split)
        builder = BatchBuilder(samples, self.task, training=False)
        return (builder[key] for key in evaluation_plan(len(samples), batch_size or self._eval_batch_size))
