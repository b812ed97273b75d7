"""Calibration and fine-tuning of a twin on a task's data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import PumiceError
from ..train.data.datamodule import EventDataModule
from ..train.fit import fit
from ..train.settings import LoggingSettings, SystemSettings, TrainingSettings
from ..train.weights import load_weights
from .config import QuantizationConfig
from .twin.model import QuantS5Classifier, calibrate

DEFAULT_TICK_MS = 0.5
WARMUP = 0.1  # of fine-tuning


def tick_ms_of(config: QuantizationConfig, data_tick_ms: float | None) -> float:
    """The program's tick: that of the task, or the configured one where the task has exact times.

    Raises:
        PumiceError: both are given and differ, which would round times twice.
    """
    if data_tick_ms is None:
        return config.tick_ms or DEFAULT_TICK_MS
    if config.tick_ms not in (None, data_tick_ms):
        raise PumiceError(
            f"quantize.tick_ms={config.tick_ms} differs from task.tick_ms={data_tick_ms}, which would round times "
            "twice; set quantize.tick_ms=null, or task.tick_ms=null and train again"
        )
    if round(data_tick_ms * 1000) != data_tick_ms * 1000:
        raise PumiceError(f"task.tick_ms={data_tick_ms} is no whole number of microseconds; round it and train again")
    return data_tick_ms


def calibrate_on(twin: QuantS5Classifier, data: EventDataModule) -> QuantS5Classifier:
    """Calibrate on the training samples as they are recorded, or on the configured number of them."""

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        left = twin.config.calibration.samples
        for batch in data.batches("train"):
            if left is not None and left <= 0:
                return
            yield tuple(part[:left] for part in (batch.tokens, batch.dt, batch.lengths, batch.pool_dt))
            left = None if left is None else left - len(batch.lengths)

    return calibrate(twin, batches())


def fine_tune(
    twin: QuantS5Classifier,
    data: EventDataModule,
    folder: Path,
    *,
    training: TrainingSettings,
    system: SystemSettings,
    logs: LoggingSettings,
    seed: int,
    info: dict[str, Any],
) -> dict[str, float]:
    """Fine-tune a calibrated twin with the training recipe at a lower rate; it ends with its best epoch's weights.

    Continues from ``folder/checkpoints/last.ckpt`` where that exists.

    Returns:
        epoch, accuracy and loss on validation of the weights that were kept.

    Raises:
        PumiceError: a damaged checkpoint, or a loss that is not finite.
    """
    tuning = twin.config.qat
    recipe = training.slowed(
        tuning.lr, epochs=tuning.epochs, warmup_epochs=WARMUP * tuning.epochs, ema_decay=None
    )
    twin.freeze_scales_after = round(tuning.freeze_scales_at * tuning.epochs * len(data.train_dataloader()))
    kept = fit(twin.train(), data, folder, training=recipe, system=system, logs=logs, seed=seed, info=info)
    load_weights(kept.best_path, twin)
    twin.to(torch.device("cpu")).eval()
    assert kept.best is not None
    return kept.best
