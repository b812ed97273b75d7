"""Trainings on a small set of spoken digits, whole ones and interrupted ones."""

from __future__ import annotations

import pytest
import torch
from pumice.errors import PumiceError
from pumice.train import module as train_module
from pumice.train.data.events.datamodule import EventDataModule
from pumice.train.data.task import task_config
from pumice.train.fit import fit
from pumice.train.settings import LoggingSettings, SystemSettings


def small_data(root, **sizes):
    """80 training recordings, 20 of other speakers that validate, and 40 to test."""
    task = {"name": "small", "source": "spoken-digits", "root": str(root), "num_classes": 20, "sensor": [700]}
    task |= {"pad_unit": 16, "validation": {"by": "speaker", "fraction": 0.2}}
    return EventDataModule(task_config(task), **{"batch_size": 8, "eval_batch_size": 40, **sizes})


def train_small(model, root, folder, training, **logs):
    """The keeper of a training."""
    torch.set_num_threads(1)
    return fit(
        model,
        small_data(root),
        folder,
        training=training,
        system=SystemSettings(accelerator="cpu"),
        logs=LoggingSettings(**{"csv": False, "tensorboard": False, "progress": False, **logs}),
        seed=0,
        info={},
    )


def interrupt(monkeypatch, train, at):
    """Begin a training that ends at its step ``at``, once."""
    step, seen = train_module.ClassifierModule.training_step, []

    def interrupted(module, batch, number):
        seen.append(number)
        if len(seen) == at:
            raise PumiceError("stopped here")
        return step(module, batch, number)

    with monkeypatch.context() as patched:
        patched.setattr(train_module.ClassifierModule, "training_step", interrupted)
        with pytest.raises(PumiceError, match="stopped here"):
            train()
