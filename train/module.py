"""A classifier with its loss, optimizer and metrics, for Lightning's trainer."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from ..errors import PumiceError
from .data.batch import EventBatch
from .optim import build_optimizer, warmup_cosine
from .settings import TrainingSettings

DROPOUT_STREAM = 1  # keeps the random numbers of dropout apart from others drawn from the same seed


class ClassifierModule(pl.LightningModule):
    """Trains ``model`` on :class:`EventBatch` with soft-label cross entropy.

    Logs ``train/loss``, ``validation/loss`` and ``validation/accuracy``. Random numbers drawn in a training step
    (dropout) depend on the seed and the number of the batch alone, so a resumed training draws the same ones.

    Args:
        model: ``model(tokens, dt, lengths, pool_dt) -> logits (B, C)``.
        num_classes: C.
        settings: the recipe.
        batches_per_epoch: of training.
        seed: of the random numbers drawn while training.
    """

    def __init__(
        self, model: nn.Module, num_classes: int, settings: TrainingSettings, batches_per_epoch: int, seed: int
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.batches_per_epoch = batches_per_epoch
        self.seed = seed
        self.average: AveragedModel | None = None
        if settings.ema_decay is not None:
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay))
        self.validation_loss = MeanMetric()
        self.validation_accuracy = MulticlassAccuracy(num_classes, average="micro")

    @property
    def kept_model(self) -> nn.Module:
        """The model that is validated and kept: the moving average if there is one."""
        return self.model if self.average is None else self.average.module

    def training_step(self, batch: EventBatch, batch_idx: int) -> Tensor:
        """Soft-label cross entropy of one batch, scalar.

        Raises:
            PumiceError: the loss is no longer finite.
        """
        loss = soft_cross_entropy(self.model, batch)
        if not torch.isfinite(loss):
            raise PumiceError(
                f"the training loss is {loss.item()} in epoch {self.current_epoch + 1}, batch {batch_idx + 1}; "
                "lower training.ssm_base_lr or set training.gradient_clip"
            )
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.lengths))
        return loss

    def on_train_batch_start(self, batch: EventBatch, batch_idx: int) -> None:
        """Seed dropout by the number of the batch."""
        number = self.current_epoch * self.batches_per_epoch + batch_idx
        torch.manual_seed(stream_seed(self.seed, DROPOUT_STREAM, number))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then move the average along."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: EventBatch, batch_idx: int) -> None:
        """Accumulate loss and accuracy."""
        logits = self.kept_model(batch.tokens, batch.dt, batch.lengths, batch.pool_dt)
        size = len(batch.lengths)
        self.validation_loss(cross_entropy(logits, batch.targets), weight=size)
        self.validation_accuracy(logits, batch.targets.argmax(1))
        self.log("validation/loss", self.validation_loss, prog_bar=True, batch_size=size)
        self.log("validation/accuracy", self.validation_accuracy, prog_bar=True, batch_size=size)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with linear warm-up and cosine, per optimizer step."""
        # Not trainer.estimated_stepping_batches: that sets up the training loader before a checkpoint is restored,
        # and the loader's position in the epoch is then lost.
        steps = math.ceil(self.batches_per_epoch / self.settings.accumulate)
        total, warmup = steps * self.settings.epochs, round(steps * self.settings.warmup_epochs)
        optimizer = build_optimizer(self.model.named_parameters(), self.settings)
        scheduler = LambdaLR(optimizer, warmup_cosine(warmup, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def soft_cross_entropy(model: nn.Module, batch: EventBatch) -> Tensor:
    """Mean over the batch of ``-sum_c target_c log softmax(logits)_c``."""
    return cross_entropy(model(batch.tokens, batch.dt, batch.lengths, batch.pool_dt), batch.targets)


def stream_seed(seed: int, *path: int) -> int:
    """A seed of 63 bits for the random stream that ``path`` names under ``seed``."""
    return int(np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)[0] >> 1)
