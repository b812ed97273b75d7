"""Data, model and device from the resolved configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ..errors import PumiceError
from ..models.s5.build import build_s5
from .data.datamodule import EventDataModule
from .data.task import task_config
from .settings import SystemSettings, TrainingSettings

FAMILIES: dict[str, Callable[..., nn.Module]] = {"s5": build_s5}


def build_data(config: Mapping[str, Any], training: TrainingSettings, system: SystemSettings) -> EventDataModule:
    """The data of section ``task``; no file is read yet."""
    return EventDataModule(
        task_config(config["task"]),
        batch_size=training.batch_size,
        eval_batch_size=training.eval_batch_size,
        seed=config["seed"],
        num_workers=system.workers,
        bucket_batches=training.bucket_batches,
    )


def build_model(config: Mapping[str, Any], data: EventDataModule) -> nn.Module:
    """The seeded model of section ``model`` for the task's classes and tokens.

    Raises:
        PumiceError: an unknown family or setting.
    """
    family = config["model"].get("family")
    if family not in FAMILIES:
        raise PumiceError(f"model.family={family} is unknown; use one of: {', '.join(FAMILIES)}")
    return FAMILIES[family](
        config["model"], num_classes=data.num_classes, vocab=data.vocab, seed=config["seed"]
    )


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
