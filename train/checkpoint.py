"""Checkpoints of unfinished training: written whole or not at all, read without pickle's dangers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins import TorchCheckpointIO

from ..errors import PumiceError
from .module import ClassifierModule
from .torch_archive import read_torch, reason_of, write_torch
from .weights import read_weights, save_weights


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint files that are complete whenever they exist."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``, atomically."""
        write_torch(path, checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Read ``path``; nothing but tensors and plain data is accepted, whatever ``weights_only`` says.

        Raises:
            PumiceError: the file is damaged, or declares more than it holds or than `torch_archive.MOST_BYTES`.
        """
        try:
            return read_torch(path, map_location)
        except Exception as error:  # a damaged zip file or pickle raises a dozen kinds of exception
            raise PumiceError(
                f"the checkpoint {path} cannot be read ({reason_of(error)}); train anew with redo=[train]"
            ) from error


class KeepProgress(pl.Callback):
    """Writes a checkpoint every few optimizer steps and after each epoch, and keeps the best weights.

    The best epoch is that of the highest validation accuracy, at equal accuracy, or none, that of the lowest loss. The
    checkpoint within an epoch is never at its last batch: validation and the end of the epoch follow there, which a
    resumed training would have to go back into. Where no split chooses, the weights of the last epoch are kept.

    Args:
        folder: where ``last.ckpt`` and ``best.safetensors`` go.
        every_steps: optimizer steps between checkpoints within an epoch.
        info: kept in the metadata of the weights.
        judge: the split that chooses; None for none.

    Attributes:
        stepped: whether a batch has been trained on, so that a checkpoint that was read has proved to fit.
    """

    def __init__(self, folder: Path, every_steps: int, info: dict[str, Any], judge: str | None = "validation") -> None:
        self.judge = judge
        self.last_path = folder / "last.ckpt"
        self.best_path = folder / "best.safetensors"
        self.every_steps = every_steps
        self.info = info
        self.best: dict[str, float] | None = None
        self.stepped = False

    def state_dict(self) -> dict[str, Any]:
        """What is known of the best epoch."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what is known of the best epoch."""
        best = state_dict["best"]
        numbers = best is None or all(isinstance(value, (int, float)) for value in best.values())
        if not numbers or (best is not None and self.judge is not None and "loss" not in best):
            raise ValueError("it does not know the best epoch")
        self.best = best

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Checkpoint within an epoch, after an optimizer step."""
        self.stepped = True
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        last_batch = batch_idx + 1 == trainer.num_training_batches
        if stepped and not last_batch and trainer.global_step % self.every_steps == 0:
            pl_module.check_finite()
            trainer.save_checkpoint(self.last_path, weights_only=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best so far."""
        assert isinstance(pl_module, ClassifierModule)
        metrics = trainer.callback_metrics
        now = {"epoch": trainer.current_epoch + 1, "loss": float(metrics[f"{self.judge}/loss"])}
        if f"{self.judge}/accuracy" in metrics:
            now["accuracy"] = float(metrics[f"{self.judge}/accuracy"])
        if pl_module.may_be_kept and (self.best is None or _rank(now) > _rank(self.best)):
            self.best = now
            self._save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Checkpoint at the end of an epoch, its validation included; keep the last one where nothing chooses."""
        if self.judge is None:
            pl_module.on_validation_start()
            self.best = {"epoch": trainer.current_epoch + 1}
            self._save(trainer, pl_module)
        trainer.save_checkpoint(self.last_path, weights_only=False)

    def recall(self) -> None:
        """Read what is known of the best epoch from its weights, where it is known to nobody here."""
        if self.best is None and self.best_path.is_file():
            self.best = read_weights(self.best_path).info["best"]

    def _save(self, trainer: pl.Trainer, pl_module: ClassifierModule) -> None:
        if trainer.is_global_zero:
            save_weights(self.best_path, pl_module.kept_model, {**self.info, "best": self.best})


def _rank(figures: dict[str, float]) -> tuple[float, float]:
    return figures.get("accuracy", 0.0), -figures["loss"]
