"""The tasks of configs/task as data for models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import PumiceError
from ..train.data.base import TaskDataModule
from ..train.data.events.datamodule import EventDataModule
from ..train.data.sequences.datamodule import SequenceDataModule
from ..train.data.sequences.kinds import sequence_task
from ..train.data.sequences.stepwise import StepwiseDataModule
from ..train.data.task import task_config
from .presets import settings_of, usable

HINT = "choose for example task=spoken-digits with model=s5/tiny, or task=spoken-digits-binned with model=adlif/tiny"


def load_data(
    task: str | Mapping[str, Any] = "spoken-digits",
    *,
    batch_size: int = 32,
    eval_batch_size: int = 32,
    seed: int = 0,
    workers: int = 0,
    bucket_batches: int | None = None,
    reads: str | None = None,
    every: int | None = None,
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
        reads: what the model is to read that the data is for, ``"events"`` or ``"sequences"``; see `read_as`. If not
            given, what the task is.
        every: with ``reads="events"``, events of each answer of a model that gives many (``model.head=steps``:
            its stride to the power of its stages); None of one that gives one answer to a sample.
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
            data: TaskDataModule = EventDataModule(task_config(settings), *sizes)
        else:
            data = SequenceDataModule(sequence_task(settings), *sizes)
        return data if reads is None else read_as(data, reads, every)


def read_as(data: TaskDataModule, reads: str, every: int | None = None) -> TaskDataModule:
    """The data as models read it that read ``"events"`` or ``"sequences"``.

    The steps of a sequence can be read as events, a step apart (`StepwiseDataModule`); events are not counted in steps
    unasked: that is a task of its own, such as ``"spoken-digits-binned"``. ``every`` as of `load_data`.

    Raises:
        PumiceError: it cannot be read so.
    """
    if data.kind == reads and getattr(data, "every", None) == every:
        return data
    if reads == "events" and isinstance(data, SequenceDataModule):
        return StepwiseDataModule.of(data, every)
    if data.kind == reads:
        raise PumiceError(
            f"task {data.task.name} has one label a recording, and model.head=steps gives an answer at every event; "
            "choose model.head=pool, or a task of steps such as ecg"
        )
    raise PumiceError(f"the model reads {reads}, but task {data.task.name} gives {data.kind}; {HINT}")
