"""Calibration and fine-tuning of a QAT model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..train.data.base import TaskDataModule
from ..train.data.inputs import Inputs
from ..train.data.listed import ListedData
from ..train.fit import fit
from ..train.settings import LoggingSettings, SystemSettings, TrainingSettings
from ..train.weights import load_weights
from .config import FamilyTuning
from .qat_model import QATModel

WARMUP = 0.1  # of fine-tuning
QAT = TypeVar("QAT", bound=QATModel[Any, Any, Any])


def calibrate(qat: QAT, batches: Iterable[Inputs]) -> QAT:
    """Set the exponents of all edges and states by what the float model does with ``batches``.

    Every event of the first ``quantize.calibration.samples`` samples is looked at, or of all of them.

    Raises:
        PumiceError: no complete window of events or no step among them, or values that are not finite.
    """
    observer, left = qat.observer(), qat.config.calibration.samples
    for batch in batches:
        if left is not None:
            batch = batch.first(left)
            left -= len(batch.lengths)
        qat.observe(observer, batch)
        if left == 0:
            break
    qat.set_formats(observer)
    return qat


def fine_tune(
    qat: QATModel[Any, Any, Any],
    data: TaskDataModule | ListedData,
    folder: Path,
    tuning: FamilyTuning,
    *,
    training: TrainingSettings,
    system: SystemSettings,
    logs: LoggingSettings,
    seed: int,
    info: dict[str, Any],
) -> dict[str, float]:
    """Fine-tune a calibrated model with the training recipe at a lower rate; it ends with its best epoch's weights.

    Continues from ``folder/checkpoints/last.ckpt`` where that exists.

    Args:
        qat: calibrated.
        data: of the task.
        folder: for checkpoints and logs.
        tuning: settings for the model's family (`FineTuning.of`).
        training: the recipe of the float model.
        system: the device.
        logs: what to log.
        seed: of the random numbers drawn while training.
        info: kept in the metadata of the weights.

    Returns:
        epoch, accuracy and loss on validation of the weights that were kept.

    Raises:
        PumiceError: a damaged checkpoint, or a loss that is not finite.
    """
    warmup = 0.0 if training.schedule == "plateau" else WARMUP * tuning.epochs
    recipe = training.slowed(tuning.lr, epochs=tuning.epochs, warmup_epochs=warmup, ema_decay=None)
    qat.freeze_scales_after = round(tuning.freeze_scales_at * tuning.epochs * len(data.train_dataloader()))
    kept = fit(qat.train(), data, folder, training=recipe, system=system, logs=logs, seed=seed, info=info)
    load_weights(kept.best_path, qat)
    qat.to(torch.device("cpu")).eval()
    assert kept.best is not None
    return kept.best
