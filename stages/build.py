"""Data, model and device from the resolved configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ..errors import PumiceError
from ..models.adlif.build import build_adlif
from ..models.s5.build import build_s5
from ..train.data.base import TaskDataModule
from ..train.data.events.datamodule import EventDataModule
from ..train.data.sequences.datamodule import SequenceDataModule
from ..train.data.sequences.kinds import sequence_task
from ..train.data.task import task_config
from ..train.settings import SystemSettings, TrainingSettings

FAMILIES: dict[str, tuple[str, Callable[..., nn.Module]]] = {
    "s5": ("events", build_s5),
    "adlif": ("sequences", build_adlif),
}
"""Model families: the kind of data they read, and how they are built."""
HINT = "choose for example task=spoken-digits with model=s5/tiny, or task=spoken-digits-binned with model=adlif/tiny"


def build_data(config: Mapping[str, Any], training: TrainingSettings, system: SystemSettings) -> TaskDataModule:
    """The data of section ``task``, by its ``kind``: events where none is given; no file is read yet."""
    if config["task"].get("kind") is None:
        module, task = EventDataModule, task_config(config["task"])
    else:
        module, task = SequenceDataModule, sequence_task(config["task"])
    return module(
        task,
        batch_size=training.batch_size,
        eval_batch_size=training.eval_batch_size,
        seed=config["seed"],
        num_workers=system.workers,
        bucket_batches=training.bucket_batches,
    )


def build_model(config: Mapping[str, Any], data: TaskDataModule) -> nn.Module:
    """The seeded model of section ``model`` for the task's classes and input.

    Raises:
        PumiceError: an unknown family or setting, or one that reads data of another kind.
    """
    family = config["model"].get("family")
    if family not in FAMILIES:
        raise PumiceError(f"model.family={family} is unknown; use one of: {', '.join(FAMILIES)}")
    kind, build = FAMILIES[family]
    if kind != data.kind:
        raise PumiceError(f"model.family={family} reads {kind}, but task {data.task.name} gives {data.kind}; {HINT}")
    return build(config["model"], num_classes=data.num_classes, seed=config["seed"], **data.model_inputs)


def apply_system(system: SystemSettings) -> None:
    """Set the number of threads of torch, which the compiled scans follow."""
    torch.set_num_threads(system.threads or os.cpu_count() or 1)


def device_of(system: SystemSettings) -> torch.device:
    """The device that section ``system`` names.

    Raises:
        PumiceError: a GPU is asked for and there is none.
    """
    if system.accelerator == "gpu" and not torch.cuda.is_available():
        raise PumiceError("system.accelerator=gpu, but torch finds no GPU; use system.accelerator=cpu")
    gpu = system.accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if gpu else "cpu")
