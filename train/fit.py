"""Training a classifier with Lightning, resumable at any moment."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from ..errors import PumiceError
from .checkpoint import AtomicCheckpointIO, KeepProgress
from .data.base import TrainingData
from .distributed import ShareWork, check_share, ignore_expected, mistake_of, quieten, strategy_of
from .module import ClassifierModule
from .progress import progress_callbacks
from .settings import LoggingSettings, Precision, SystemSettings, TrainingSettings
from .torch_archive import reason_of


def fit(
    model: nn.Module,
    data: TrainingData,
    folder: Path,
    *,
    training: TrainingSettings,
    system: SystemSettings,
    logs: LoggingSettings,
    seed: int,
    info: dict[str, Any],
    make: Callable[..., ClassifierModule] = ClassifierModule,
    anew: bool = False,
    what: str = "training",
) -> KeepProgress:
    """Train ``model`` and keep the best weights in ``folder/checkpoints/best.safetensors``.

    Where no split of the data chooses (``data.judge``), these are the weights of the last epoch.

    If ``folder/checkpoints/last.ckpt`` exists, training goes on from there; the result is bit for bit that of an
    uninterrupted training on the same machine.

    Args:
        model: see :class:`ClassifierModule`.
        data: training and validation batches.
        folder: of the run.
        training: the recipe.
        system: the device, or processes that share the work; each of them calls this function where they were
            started from outside.
        logs: what to log.
        seed: of the random numbers drawn while training.
        info: kept in the metadata of the weights.
        make: the module, from the arguments of :class:`ClassifierModule`.
        anew: do not go on from a checkpoint.
        what: this training is called where it is told how far it is.

    Returns:
        the callback that knows the best epoch and where its weights are.

    Raises:
        PumiceError: a damaged checkpoint, or a loss that is not finite.
        KeyboardInterrupt: interrupted from outside.
    """
    quieten()
    check_loggers(logs)
    check_judged(data, training)
    check_share(system, training)
    keeper = KeepProgress(folder / "checkpoints", training.checkpoint_every_steps, info, data.judge)
    loggers = _loggers(folder / "logs", logs)
    rates = [LearningRateMonitor(logging_interval="epoch")] if loggers else []
    trainer = pl.Trainer(
        accelerator=system.accelerator,
        devices=system.devices,
        num_nodes=system.nodes,
        strategy=strategy_of(system),
        use_distributed_sampler=False,
        precision=cast(Precision, training.precision),
        max_epochs=training.epochs,
        accumulate_grad_batches=training.accumulate,
        gradient_clip_val=training.gradient_clip,
        deterministic=system.deterministic,
        logger=loggers,
        log_every_n_steps=logs.every_steps,
        callbacks=[ShareWork(system), *rates, *progress_callbacks(logs, what), keeper],
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=None if data.judge else 0,
    )
    classes = None if data.regression else data.num_classes
    count = training.norm_samples
    norm_batches = None if count is None else partial(data.norm_batches, count)
    module = make(model, classes, training, len(data.train_dataloader()), seed, norm_batches, data.judge)
    resume = keeper.last_path if keeper.last_path.exists() and not anew else None
    with warnings.catch_warnings():
        ignore_expected()
        try:
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        except SIGTERMException as error:
            raise KeyboardInterrupt from error
        except PumiceError:
            raise
        except Exception as error:
            if mistake := mistake_of(error):
                raise mistake from error
            if resume is None or keeper.stepped:
                raise
            raise PumiceError(
                f"training cannot go on from {resume} ({reason_of(error)}); delete it, or do the stage anew with redo"
            ) from error
        except SystemExit as error:  # what Lightning makes of Ctrl-C
            if trainer.interrupted:
                raise KeyboardInterrupt from error
            raise
    keeper.recall()  # where other processes than this one have trained
    return keeper


def check_judged(data: TrainingData, training: TrainingSettings) -> None:
    """Refuse a schedule that goes by a loss that nobody measures.

    Raises:
        PumiceError: naming both settings.
    """
    if training.schedule == "plateau" and data.judge is None:
        raise PumiceError(
            "training.schedule=plateau goes by the loss of validation, and task.select_on=none has none; set "
            "training.schedule=cosine, or select on validation"
        )


def check_loggers(settings: LoggingSettings) -> None:
    """Refuse a logger that is not installed.

    Raises:
        PumiceError: naming what to install.
    """
    if settings.wandb is not None and find_spec("wandb") is None:
        raise PumiceError(
            f"logging.wandb={settings.wandb} needs wandb, which is not installed; pip install 'pumice[wandb]', or set "
            "it to null"
        )


def _loggers(folder: Path, settings: LoggingSettings) -> list[Logger]:
    loggers: list[Logger] = []
    if settings.csv:
        loggers.append(CSVLogger(folder, name="csv"))
    if settings.tensorboard:
        loggers.append(TensorBoardLogger(folder, name="tensorboard", version=""))
    if settings.wandb is not None:
        place = folder / "wandb"
        place.mkdir(parents=True, exist_ok=True)
        offline = settings.wandb == "offline"
        loggers.append(WandbLogger(save_dir=place, name=folder.parent.name, project="pumice", offline=offline))
    return loggers
