"""What training tells: a line an epoch, and how far it is within one."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import lightning.pytorch as pl

from ..terminal import Printer, handed_on, progress, take_over
from ..terminal.steps import Steps
from .settings import LoggingSettings

LEAST_SHOWN = 0.01


class EpochLines(pl.Callback):
    """One line for every epoch."""

    def __init__(self) -> None:
        self.start = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """For the processes that share the work: what this one shows, and where its log is."""
        return {"start": self.start, "shown": handed_on()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.start = state["start"]
        take_over(state["shown"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the clock: an epoch that is resumed half-way does not start anew."""
        self.start = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self.start = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Print losses, the mean over the epoch's training samples and that of validation, accuracy and time."""
        metrics = trainer.callback_metrics
        judge = pl_module.judge
        accuracy = metrics.get(f"{judge}/accuracy")
        shown = "" if judge is None else f"  {judge} loss {_shown(metrics[f'{judge}/loss'])}"
        shown += "" if accuracy is None else f", accuracy {accuracy:.1%}"
        loss = pl_module.training_loss.compute()  # of all processes, which take part in it
        if not trainer.is_global_zero:
            return
        Printer().print(
            f"  epoch {trainer.current_epoch + 1:>3}/{trainer.max_epochs}"
            f"  training loss {_shown(loss)}"
            f"{shown}"
            f"  {time.monotonic() - self.start:.1f} s",
            highlight=False,
        )


class Batches(pl.Callback):
    """How far a training is, batch by batch, over all its epochs.

    Args:
        what: it is called.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._open = contextlib.ExitStack()
        self._steps: Steps | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For the processes that share the work, none of which has begun."""
        return {"what": self.what}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["what"])  # type: ignore[misc]

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begin with the first batch, which is not the first of all where an earlier training goes on."""
        if self._steps is None and trainer.is_global_zero:
            batches = int(trainer.num_training_batches)
            done = trainer.current_epoch * batches + batch_idx
            total = (trainer.max_epochs or 0) * batches
            self._steps = self._open.enter_context(progress(f"{self.what}, batches", total, done))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """One more is done."""
        if self._steps is not None:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._steps.at(self._steps.done + 1, what=f"{self.what}, {epoch}, batches")

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """It is over."""
        self._open.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """It is over before its time."""
        self._open.close()


def _shown(loss: Any) -> str:
    return f"{loss:.3f}" if loss >= LEAST_SHOWN else f"{loss:.2e}"


def progress_callbacks(settings: LoggingSettings, what: str) -> list[pl.Callback]:
    """A line an epoch, and how far a training of this name is."""
    return [Batches(what), EpochLines()] if settings.progress else []
