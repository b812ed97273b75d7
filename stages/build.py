"""Data, model and device from the resolved configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..api.data import load_data
from ..api.models import build_loaded, built
from ..api.presets import settings_of
from ..errors import PumiceError
from ..models.adlif.network import AdLIFNetwork
from ..quantize.families import model_family
from ..train.data.base import TaskDataModule
from ..train.settings import SystemSettings, TrainingSettings
from ..train.weights import Weights


def build_data(config: Mapping[str, Any], training: TrainingSettings, system: SystemSettings) -> TaskDataModule:
    """The data of section ``task`` as the model of section ``model`` reads it; no file is read yet.

    Raises:
        PumiceError: unknown settings, or data that the model cannot read or answer.
    """
    family = model_family(config["model"].get("family"))
    return load_data(
        config["task"],
        batch_size=training.batch_size,
        eval_batch_size=training.eval_batch_size,
        seed=config["seed"],
        workers=system.workers,
        bucket_batches=training.bucket_batches,
        reads=family.reads,
        every=family.answers_every(config["model"]),
    )


def build_model(config: Mapping[str, Any], data: TaskDataModule, initial: bool = True) -> nn.Module:
    """The seeded model of section ``model`` for the task's classes and input; without ``initial`` values all zeros.

    Raises:
        PumiceError: an unknown family or setting, or a model that does not answer what the task asks.
    """
    sizes = {"num_classes": data.num_classes, **data.model_inputs}
    model = built(settings_of("model", config["model"], {}), sizes, seed=config["seed"] if initial else None)
    if getattr(data.task, "answers", "") == "value" and not _tells_values(model):
        family = config["model"].get("family")
        raise PumiceError(
            f"task {data.task.name} asks for values at every step, which this model of family {family} does not tell; "
            "choose model=s5/denoise, or model.aggregation=mean of family adlif"
        )
    return model


def _tells_values(model: nn.Module) -> bool:
    settings: Any = model.config
    steps = isinstance(model, AdLIFNetwork) and settings.aggregation == "mean"
    return steps or getattr(settings, "answers_every", None) is not None


def load_model(config: Mapping[str, Any], data: TaskDataModule, weights: Weights) -> nn.Module:
    """The same model with ``weights`` in place of initial ones.

    Raises:
        PumiceError: as of `build_model`; or weights of another model.
    """
    return build_loaded(weights, config["model"], num_classes=data.num_classes, **data.model_inputs)


def check_windows(model: nn.Module, data: TaskDataModule) -> str | None:
    """What the model cannot see of the training data (`TaskDataModule.check_windows`)."""
    return data.check_windows(getattr(model.config, "window", 1))


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
