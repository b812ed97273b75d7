"""The tasks of configs/task as data for models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..train.data.base import TaskDataModule
from ..train.data.events.datamodule import EventDataModule
from ..train.data.sequences.datamodule import SequenceDataModule
from ..train.data.sequences.kinds import sequence_task
from ..train.data.task import task_config
from .presets import settings_of, usable


def load_data(
    task: str | Mapping[str, Any] = "spoken-digits",
    *,
    batch_size: int = 32,
    eval_batch_size: int = 32,
    seed: int = 0,
    workers: int = 0,
    bucket_batches: int | None = None,
    **changes: Any,
) -> TaskDataModule:
    """The data of a task; no file is read before its samples are asked for.

    Args:
        task: a file of configs/task, such as ``"spoken-digits"`` (embedded events, for family ``s5``),
            ``"spoken-digits-binned"`` (the same in time steps, for family ``adlif``) or ``"shd"``; or a mapping with
            its keys.
        batch_size: samples of a training batch.
        eval_batch_size: samples of a batch of evaluation.
        seed: of the order of training samples and of their augmentation.
        workers: processes that prepare training batches; 0 for none.
        bucket_batches: batches among which samples of similar length are brought together.
        changes: single settings in place of those of ``task``, such as ``root="data/"``.

    Returns:
        a Lightning data module with more to it, ``num_classes`` and ``model_inputs`` for `build_model`,
        ``class_names``, augmented batches by ``train_dataloader()``, batches as recorded by ``batches(split)``, and of
        each split plain samples by ``program_samples(split)`` and their ``labels(split)``.

    Raises:
        PumiceError: an unknown task or setting, or one outside its limits.
    """
    settings = settings_of("task", task, changes)
    sizes = (batch_size, eval_batch_size, seed, workers, bucket_batches)
    with usable("task"):
        if settings.get("kind") is None:
            return EventDataModule(task_config(settings), *sizes)
        return SequenceDataModule(sequence_task(settings), *sizes)
