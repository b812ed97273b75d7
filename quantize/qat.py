"""Calibration and fine-tuning of a twin on a task's data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch

from ..train.data.base import TaskDataModule
from ..train.fit import fit
from ..train.settings import LoggingSettings, SystemSettings, TrainingSettings
from ..train.weights import load_weights
from .config import FineTuning
from .twin import QuantTwin

WARMUP = 0.1  # of fine-tuning
Twin = TypeVar("Twin", bound=QuantTwin)


def calibrate_on(twin: Twin, data: TaskDataModule) -> Twin:
    """Calibrate on the training samples as they are recorded, or on the configured number of them."""
    observer, left = twin.observer(), twin.config.calibration.samples
    for batch in data.batches("train"):
        if left is not None:
            batch = type(batch)(*(part[:left] for part in batch))
            left -= len(batch.lengths)
        twin.observe(observer, batch)
        if left == 0:
            break
    twin.set_formats(observer)
    return twin


def fine_tune(
    twin: QuantTwin,
    data: TaskDataModule,
    folder: Path,
    tuning: FineTuning,
    *,
    training: TrainingSettings,
    system: SystemSettings,
    logs: LoggingSettings,
    seed: int,
    info: dict[str, Any],
) -> dict[str, float]:
    """Fine-tune a calibrated twin with the training recipe at a lower rate; it ends with its best epoch's weights.

    Continues from ``folder/checkpoints/last.ckpt`` where that exists.

    Args:
        twin: calibrated.
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
    twin.freeze_scales_after = round(tuning.freeze_scales_at * tuning.epochs * len(data.train_dataloader()))
    kept = fit(twin.train(), data, folder, training=recipe, system=system, logs=logs, seed=seed, info=info)
    load_weights(kept.best_path, twin)
    twin.to(torch.device("cpu")).eval()
    assert kept.best is not None
    return kept.best
