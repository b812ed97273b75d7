"""Calibration and fine-tuning of a QAT model."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..terminal import progress
from ..train.data.base import TaskDataModule
from ..train.data.inputs import Inputs
from ..train.data.listed import ListedData
from ..train.fit import fit
from ..train.settings import LoggingSettings, SystemSettings, TrainingSettings
from ..train.weights import load_weights
from .distillation.data import TaughtData
from .distillation.judge import Judge
from .distillation.module import Distillation
from .distillation.teacher import Teacher
from .qat_model import QATModel
from .tuning import FamilyTuning

WARMUP = 0.1  # of fine-tuning
QAT = TypeVar("QAT", bound=QATModel[Any, Any, Any])


def calibrate(qat: QAT, batches: Iterable[Inputs]) -> QAT:
    """Set the exponents of all edges and states by what the float model does with ``batches``.

    Every event of the first ``quantize.calibration.samples`` samples is looked at, or of all of them.

    Raises:
        PumiceError: no complete window of events or no step among them, or values that are not finite.
    """
    qat.set_formats(observe(qat, batches))
    return qat


def observe(qat: QATModel[Any, Any, Any], batches: Iterable[Inputs], samples: int | None = None) -> Any:
    """What the float model does with ``batches``, for `QATModel.set_formats` of models with the same weights.

    ``samples``: how many there are, where that is known.

    Raises:
        PumiceError: values that are not finite.
    """
    observer, left = qat.observer(), qat.config.calibration.samples
    with progress("calibration, samples", samples if left is None else min(left, samples or left)) as step:
        for batch in batches:
            if left is not None:
                batch = batch.first(left)
                left -= len(batch.lengths)
            qat.observe(observer, batch)
            step(len(batch.lengths))
            if left == 0:
                break
    return observer


@contextlib.contextmanager
def _kept_while(folder: Path) -> Iterator[Path]:
    """An empty folder that is removed when it is no longer needed."""
    shutil.rmtree(folder, ignore_errors=True)  # of what was interrupted
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fine_tune(
    qat: QATModel[Any, Any, Any],
    data: TaskDataModule | ListedData,
    judge: Judge,
    folder: Path,
    tuning: FamilyTuning,
    *,
    training: TrainingSettings,
    system: SystemSettings,
    logs: LoggingSettings,
    seed: int,
    info: dict[str, Any],
) -> dict[str, float]:
    """Fine-tune a calibrated model by what its float model says; it ends with its best epoch's weights.

    The float model runs once over the training samples as they are. The recipe is the float model's at a lower rate
    that falls to 0 along a cosine; weights that were pruned stay zero. Continues from ``folder/checkpoints/last.ckpt``
    where that exists.

    Args:
        qat: calibrated, with the weights of the float model.
        data: of the task.
        judge: what chooses the epoch, by the divergence from the float model.
        folder: for checkpoints and logs, and, while it runs, for what the float model says.
        tuning: settings for the model's family (`FineTuning.of`).
        training: the recipe of the float model.
        system: the device.
        logs: what to log.
        seed: of the order of samples, and of the random numbers drawn while training.
        info: kept in the metadata of the weights.

    Returns:
        epoch, and divergence from the float model (nats), of the weights that were kept.

    Raises:
        PumiceError: settings that do not fit the model, a damaged checkpoint, or a loss that is not finite.
    """
    teacher = Teacher(qat, tuning)
    teacher.nodes()
    recipe = training.slowed(
        tuning.rate(qat.least_bits()),
        epochs=tuning.epochs,
        warmup_epochs=WARMUP * tuning.epochs,
        schedule="cosine",
        weight_decay=tuning.weight_decay,
        ssm_weight_decay=tuning.weight_decay,
        norm_samples=None,
        ema_decay=None,
        sparsity_from=0.0,
        sparsity_until=0.0,
        activity=None,
    )
    with _kept_while(folder / "teacher") as said:
        taught = TaughtData(data, judge, teacher, said)
        qat.freeze_scales_after = round(tuning.freeze_scales_at * tuning.epochs * len(taught.train_dataloader()))
        make = partial(Distillation, teacher=teacher, powers=taught.powers)
        kept = fit(
            qat.train(),
            taught,
            folder,
            training=recipe,
            system=system,
            logs=logs,
            seed=seed,
            info=info,
            make=make,
            what="fine-tuning",
        )
    load_weights(kept.best_path, qat)
    qat.to(torch.device("cpu")).eval()
    assert kept.best is not None
    return {"epoch": kept.best["epoch"], "kl": kept.best["loss"]}
