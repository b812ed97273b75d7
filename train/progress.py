"""What training prints."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console

from .settings import LoggingSettings

LEAST_SHOWN = 0.01


class EpochLines(pl.Callback):
    """One line for every epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.start = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """For the processes that share the work: a console stays where it is."""
        return {"start": self.start}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.console, self.start = Console(), state["start"]

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
        self.console.print(
            f"  epoch {trainer.current_epoch + 1:>3}/{trainer.max_epochs}"
            f"  training loss {_shown(loss)}"
            f"{shown}"
            f"  {time.monotonic() - self.start:.1f} s",
            highlight=False,
            soft_wrap=True,
        )


def _shown(loss: Any) -> str:
    return f"{loss:.3f}" if loss >= LEAST_SHOWN else f"{loss:.2e}"


def progress_callbacks(settings: LoggingSettings) -> list[pl.Callback]:
    """A line per epoch, and a progress bar where the output is a terminal."""
    console = Console()
    if not settings.progress:
        return []
    bar = [RichProgressBar(leave=False)] if console.is_terminal else []
    return [*bar, EpochLines(console)]
