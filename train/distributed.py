"""Training in several processes: each takes its share of every batch, and gradients are averaged.

A recipe means the same whatever the number of processes: ``batch_size`` is what all of them see in one step.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch.multiprocessing import ProcessRaisedException

from ..errors import PumiceError
from .settings import SystemSettings, TrainingSettings

EXPECTED_WARNINGS = (
    ".*does not have many workers.*",
    ".*is smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*LeafSpec.*is deprecated.*",
    ".*Experiment logs directory .* exists.*",
)

STARTERS = (SLURMEnvironment, TorchElasticEnvironment)
"""What may have started one process a device: srun, or torchrun."""


def started_rank(system: SystemSettings) -> int | None:
    """Which of the processes this is that srun or torchrun has started; None where Pumice starts them itself."""
    if system.processes == 1:
        return None
    return next((kind().global_rank() for kind in STARTERS if kind.detect()), None)


def check_share(system: SystemSettings, training: TrainingSettings) -> None:
    """Refuse a batch that processes cannot share alike, and several nodes that nobody has started.

    Raises:
        PumiceError: naming the settings.
    """
    if training.batch_size % system.processes:
        raise PumiceError(
            f"training.batch_size={training.batch_size} is no multiple of the {system.processes} processes of "
            "system.devices and system.nodes, which share each batch alike; change one"
        )
    if system.nodes > 1 and started_rank(system) is None:
        raise PumiceError(
            f"system.nodes={system.nodes}: processes on other nodes are started by srun or torchrun, and this one is "
            "not; see docs/scale.md"
        )


def strategy_of(system: SystemSettings) -> Strategy | str:
    """How Lightning runs the processes; those that nobody has started are started here, on this node."""
    if system.processes == 1:
        return "auto"
    backend = "nccl" if system.accelerator != "cpu" and torch.cuda.is_available() else "gloo"
    if started_rank(system) is None:
        return DDPStrategy(process_group_backend=backend, start_method="spawn")
    return DDPStrategy(process_group_backend=backend)  # starts no process where others have


def quieten() -> None:
    """Let Lightning tell in this process what went wrong, and nothing else."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def ignore_expected() -> None:
    """Warnings that say nothing here, until the filters are reset."""
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message)


class ShareWork(pl.Callback):
    """Gives each process its share of the batches and of the node's cores.

    Args:
        system: with the number of processes.
    """

    def __init__(self, system: SystemSettings) -> None:
        self.system = system

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a process that was started here, before Lightning says a word."""
        vars(self).update(state)
        quieten()
        ignore_expected()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Once in each process, before any batch is asked for."""
        if trainer.world_size == 1:
            return
        cores = self.system.threads or os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // self.system.devices))
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        data.share(trainer.global_rank, trainer.world_size)


def mistake_of(error: Exception) -> PumiceError | None:
    """The mistake that ended a process that was started here, from the traceback it has left; None for others."""
    if not isinstance(error, ProcessRaisedException):
        return None
    found = re.findall(r"^pumice\.errors\.PumiceError: (.+)$", str(error), re.MULTILINE)
    return PumiceError(found[-1]) if found else None
