"""A classifier with its loss, optimizer and metrics, for Lightning's trainer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torchmetrics.classification import MulticlassAccuracy

from ..errors import PumiceError
from ..models.host import knowing
from ..models.spikes import listening
from .activity import ActivityPenalty, batch_rates
from .data.batch import Batch
from .evaluate import hard_labels
from .means import MovingAverage, WeightedMean
from .norms import estimate_norms
from .optim import build_optimizer, warmup_constant, warmup_cosine
from .pruning import Pruning, prunable
from .settings import TrainingSettings

DROPOUT_STREAM = 1  # keeps the random numbers of dropout apart from others drawn from the same seed
LOOK_EVERY = 50
"""Batches after which a device is asked whether the losses are finite, which waits for all that it has to do."""


@runtime_checkable
class Constrained(Protocol):
    """A model whose parameters have ranges."""

    def constrain(self) -> None:
        """Bring parameters back into their ranges."""


class ClassifierModule(pl.LightningModule):
    """Trains ``model`` on any :class:`Batch` with (soft-label) cross entropy, or with the mean squared error.

    Logs ``train/loss``, with a penalty on spikes also ``train/spike_rate``, the mean over layers, ``validation/loss``
    and, for classifiers, ``validation/accuracy``; with another judge under its name. Random numbers drawn in a
    training step (dropout) depend on the seed and the number of the batch alone, so a resumed training draws the same
    ones. A model with a method ``constrain`` has it called after each optimizer step.

    No step waits for a device. Whether the loss is finite is asked every ``look_every`` batches (None: each on the CPU,
    where that costs nothing, else `LOOK_EVERY`), and before anything is validated or saved.

    Args:
        model: what ``Batch.apply`` of the task's batches calls.
        num_classes: C, or None where values are predicted.
        settings: the recipe.
        batches_per_epoch: of training.
        seed: of the random numbers drawn while training.
        norm_batches: by which the statistics of batch norms are estimated anew before each validation; None: never.
        judge: the split that validation goes through; None where there is none.
    """

    def __init__(
        self,
        model: nn.Module,
        num_classes: int | None,
        settings: TrainingSettings,
        batches_per_epoch: int,
        seed: int,
        norm_batches: Callable[[], Iterable[Batch]] | None = None,
        judge: str | None = "validation",
    ) -> None:
        super().__init__()
        self.judge = judge
        self.norm_batches = norm_batches
        self.model = model
        self.settings = settings
        self.batches_per_epoch = batches_per_epoch
        self.seed = seed
        self.pruning = None if settings.sparsity is None else Pruning(model, settings, self.total_steps)
        self.activity = None if settings.activity is None else ActivityPenalty(model, settings)
        self.average: MovingAverage | None = None
        if settings.ema_decay is not None:
            self.average = MovingAverage(model, settings.ema_decay)
            self.average.requires_grad_(False)  # processes that share the work wait for no gradient of it
            self._averaged = prunable(self.average.module)
        self.training_loss, self.validation_loss = WeightedMean(), WeightedMean()
        self.look_every: int | None = None
        self._diverged: Tensor | None = None  # (2,): the first batch whose loss is not finite, from 1, and that loss
        self.regression = num_classes is None
        self.validation_accuracy = None if num_classes is None else MulticlassAccuracy(num_classes, average="micro")

    @property
    def kept_model(self) -> nn.Module:
        """The model that is validated and kept: the moving average if there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def total_steps(self) -> int:
        """Of the optimizer, over all epochs."""
        return math.ceil(self.batches_per_epoch / self.settings.accumulate) * self.settings.epochs

    @property
    def may_be_kept(self) -> bool:
        """Whether the weights are as sparse as they shall be."""
        return self.pruning is None or self.pruning.ended(self.global_step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch, scalar.

        Raises:
            PumiceError: the loss is no longer finite, or was not some batches ago.
        """
        with knowing(tokens=True):
            loss, size = self.batch_loss(batch)
        self._remember(loss.detach(), batch_idx)
        every = self.look_every or (1 if loss.device.type == "cpu" else LOOK_EVERY)
        if (batch_idx + 1) % every == 0:
            self.check_finite()
        self.training_loss.update(loss.detach(), size)
        shared = self.trainer.world_size > 1
        self.log("train/loss", loss, batch_size=size, sync_dist=shared)
        return loss

    def _remember(self, loss: Tensor, batch_idx: int) -> None:
        """Keep the first loss of the epoch that is not finite, on its device."""
        if self._diverged is None:
            self._diverged = torch.zeros(2, device=loss.device)
        found = torch.stack([torch.full((), batch_idx + 1.0, device=loss.device), loss.float()])
        first = ~torch.isfinite(loss) & (self._diverged[0] == 0)
        self._diverged = torch.where(first, found, self._diverged)

    def check_finite(self) -> None:
        """Look whether the losses of the epoch have been finite; waits for the device.

        Raises:
            PumiceError: one was not.
        """
        if self._diverged is None:
            return
        batch, loss = self._diverged.tolist()
        if batch:
            raise PumiceError(
                f"the training loss is {loss} in epoch {self.current_epoch + 1}, batch {int(batch)}; "
                f"lower training.{'lr' if self.settings.lr else 'ssm_base_lr'} or set training.gradient_clip"
            )

    def batch_loss(self, batch: Batch) -> tuple[Tensor, int]:
        """What is made smaller, a scalar, and over how many targets it is the mean."""
        if self.activity is None:
            outputs, targets = batch.apply(self.model)
            return task_loss(outputs, targets, self.regression, self.settings.label_smoothing), len(targets)
        with listening(self.model) as heard:
            outputs, targets = batch.apply(self.model)
        rates = batch_rates(heard, self.model, batch)
        mean = torch.stack([rate.detach().mean() for rate in rates.values()]).mean()
        self.log("train/spike_rate", mean, batch_size=len(targets), sync_dist=self.trainer.world_size > 1)
        loss = task_loss(outputs, targets, self.regression, self.settings.label_smoothing)
        return loss + self.activity(rates), len(targets)

    def on_train_epoch_start(self) -> None:
        """Begin the mean of the epoch's training loss."""
        self.training_loss.reset()
        self._diverged = None

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout by the number of the batch."""
        number = self.current_epoch * self.batches_per_epoch + batch_idx
        others = (self.global_rank,) if self.global_rank else ()  # other samples, other masks
        torch.manual_seed(stream_seed(self.seed, DROPOUT_STREAM, number, *others))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, bring constrained parameters back into their ranges, prune, then move the average along."""
        step = self.global_step + 1
        if self.pruning is not None:
            self.pruning.before(step)
        super().optimizer_step(*args, **kwargs)
        if isinstance(self.model, Constrained):
            self.model.constrain()
        if self.pruning is not None:
            self.pruning.after(step)
        if self.average is not None:
            self.average.update_parameters(self.model, first=step == 1)
            if self.pruning is not None:
                self.pruning.mirror(self._averaged)

    def on_validation_start(self) -> None:
        """Estimate the statistics of batch norms anew; also called where nothing is validated.

        Raises:
            PumiceError: the training loss is no longer finite.
        """
        self.check_finite()
        if self.norm_batches is not None:
            estimate_norms(self.kept_model, (batch.to(self.device) for batch in self.norm_batches()))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accumulate loss and accuracy."""
        with knowing(tokens=True):
            outputs, targets = batch.apply(self.kept_model)
        size = len(targets)
        self.validation_loss(task_loss(outputs, targets, self.regression), weight=size)
        self.log(f"{self.judge}/loss", self.validation_loss, batch_size=size)
        if self.validation_accuracy is not None:
            self.validation_accuracy(outputs, hard_labels(targets))
            self.log(f"{self.judge}/accuracy", self.validation_accuracy, batch_size=size)

    def on_validation_end(self) -> None:
        """Tell a plateau schedule the validation loss, before the checkpoint of the epoch is written."""
        if self.settings.schedule == "plateau":
            plateau = self.lr_schedulers()
            assert isinstance(plateau, ReduceLROnPlateau)
            plateau.step(float(self.trainer.callback_metrics[f"{self.judge}/loss"]))

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step the schedules that go by optimizer steps; see `on_validation_end` for the other."""
        if self.settings.schedule != "plateau":
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Optimizer and schedule of the recipe."""
        # Not trainer.estimated_stepping_batches: that sets up the training loader before a checkpoint is restored,
        # and the loader's position in the epoch is then lost.
        total = self.total_steps
        warmup = round(total / self.settings.epochs * self.settings.warmup_epochs)
        optimizer = build_optimizer(self.model.named_parameters(), self.settings)
        if self.settings.schedule == "plateau":
            factor, patience = self.settings.plateau_factor, self.settings.plateau_patience
            plateau = ReduceLROnPlateau(optimizer, factor=factor, patience=patience)
            schedule: LRSchedulerConfigType = {
                "scheduler": plateau,
                "interval": "epoch",
                "monitor": f"{self.judge}/loss",
            }
        else:
            cosine = self.settings.schedule == "cosine"
            factors = warmup_cosine(warmup, total) if cosine else warmup_constant(warmup)
            schedule = {"scheduler": LambdaLR(optimizer, factors), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def task_loss(outputs: Tensor, targets: Tensor, regression: bool = False, label_smoothing: float = 0.0) -> Tensor:
    """Mean (soft-label) cross entropy, or mean squared error, scalar; see ``Batch.apply`` for the shapes."""
    if regression:
        return mse_loss(outputs, targets)
    return cross_entropy(outputs, targets, label_smoothing=label_smoothing)


def stream_seed(seed: int, *path: int) -> int:
    """A seed of 63 bits for the random stream that ``path`` names under ``seed``."""
    return int(np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)[0] >> 1)
