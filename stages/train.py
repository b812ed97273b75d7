"""The stage ``train``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..files import copy_file
from ..records import versions
from ..terminal import Printer
from ..train.activity import ActivityPenalty
from ..train.checkpoint import KeepProgress
from ..train.data.base import TaskDataModule
from ..train.distributed import check_share
from ..train.fit import check_judged, check_loggers, fit
from ..train.pruning import zero_shares
from ..train.settings import LoggingSettings, SystemSettings, TrainingSettings, check_seed, read_section
from ..train.weights import load_weights
from .build import apply_system, build_data, build_model, check_windows, device_of
from .folder import RunFolder, timed


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    check_seed(config["seed"])
    check_loggers(read_section(LoggingSettings, config, "logging"))
    system = read_section(SystemSettings, config, "system")
    device_of(system)
    training = read_section(TrainingSettings, config, "training")
    data = build_data(config, training, system)
    check_judged(data, training)
    check_share(system, training)
    model = build_model(config, data, initial=False)
    if training.activity is not None:
        ActivityPenalty(model, training)


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Train, write ``weights.safetensors`` (the best epoch, the last where nothing chooses), and return the figures."""
    training, data, model = _built(config)
    if note := check_windows(model, data):
        Printer().print(f"note: {note}", highlight=False)
    with timed() as seconds:
        kept = _fit(config, folder, training, data, model)
    copy_file(kept.best_path, folder.path / "weights.safetensors")
    pruned = {}
    if training.sparsity is not None:
        load_weights(kept.best_path, model)
        pruned["zero_weights"] = {name: round(share, 4) for name, share in zero_shares(model).items()}
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_samples": len(data.train_dataset),
        "epochs": training.epochs,
        "selected_on": data.task.select_on,
        "best": kept.best,
        "seconds": round(seconds[0], 1),
        **pruned,
    }


def follow(config: Mapping[str, Any], folder: RunFolder, anew: bool) -> None:
    """Take part in a training that another process leads, and writes; ``anew``: it does not go on from a checkpoint."""
    _fit(config, folder, *_built(config), anew=anew)


def _built(config: Mapping[str, Any]) -> tuple[TrainingSettings, TaskDataModule, nn.Module]:
    training = read_section(TrainingSettings, config, "training")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    data = build_data(config, training, system)
    return training, data, build_model(config, data)


def _fit(
    config: Mapping[str, Any],
    folder: RunFolder,
    training: TrainingSettings,
    data: TaskDataModule,
    model: nn.Module,
    anew: bool = False,
) -> KeepProgress:
    info = {"format": 1, "task": dict(config["task"]), "model": dict(config["model"]), "versions": versions()}
    return fit(
        model,
        data,
        folder.path,
        training=training,
        system=read_section(SystemSettings, config, "system"),
        logs=read_section(LoggingSettings, config, "logging"),
        seed=config["seed"],
        info=info,
        anew=anew,
    )
