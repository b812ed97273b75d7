"""Accuracy of a classifier on a split, with what is needed to compare it later."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_confusion_matrix

from .data.batch import Batch, tells_values
from .values import value_figures

TOP = (2, 3, 5, 10)
"""Of how many classes it is asked whether the right one is among them."""

Z_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


@dataclass(frozen=True)
class Predictions:
    """What a model said about a split, in the order of its samples, or of their labelled blocks.

    Attributes:
        logits: (N, C), float32 of a float model, float64 of an integer one.
        labels: (N,) int64; or, where values are told, these, (N, C) float32.
        speakers: (N,) int64, who was recorded; None where unknown.
        recordings: (N,) int64, of values, the number of the recording that each belongs to; None: of one.
    """

    logits: NDArray[np.floating]
    labels: NDArray[Any]
    speakers: NDArray[np.int64] | None = None
    recordings: NDArray[np.int64] | None = None

    @property
    def values(self) -> bool:
        """Whether these are values, and not classes."""
        return self.labels.dtype.kind == "f"


@dataclass(frozen=True)
class PredictedSeries:
    """What a model predicted of the series of a split, in their order.

    Attributes:
        outputs: (N, T, F) float32.
        targets: (N, T, F) float32, what they should have been.
    """

    outputs: NDArray[np.floating]
    targets: NDArray[np.floating]


def outputs_and_targets(
    model: nn.Module, batches: Iterable[Batch], device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Run ``model`` in evaluation mode over ``batches``; see ``Batch.apply`` for the shapes."""
    model = model.to(device).eval()
    outputs, targets = [], []
    with torch.inference_mode():
        for batch in batches:
            output, target = batch.to(device).apply(model)
            outputs.append(output.float().cpu())
            targets.append(target.cpu())
    return torch.cat(outputs), torch.cat(targets)


def predict(model: nn.Module, batches: Iterable[Batch], device: torch.device | str = "cpu") -> Predictions:
    """Run a model in evaluation mode over ``batches`` and keep its logits, or the values that it tells."""
    values = False

    def seen() -> Iterator[Batch]:
        nonlocal values
        for batch in batches:
            values = values or tells_values(batch)
            yield batch

    logits, targets = outputs_and_targets(model, seen(), device)
    return Predictions(logits.numpy(), (targets if values else hard_labels(targets)).numpy())


def hard_labels(targets: Tensor) -> Tensor:
    """Classes (M,) int64 of soft labels (M, C); classes stay as they are."""
    return targets.argmax(1) if targets.is_floating_point() else targets


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson 1927)."""
    share, z2 = correct / total, Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return min(low, share), max(high, share)  # rounding leaves a share of 0 or 1 outside


def interval_text(low: float, high: float) -> str:
    """A confidence interval for people: ``93.1% to 95.2%``."""
    return f"{low:.1%} to {high:.1%}"


def accuracy_of(predictions: Predictions) -> dict[str, Any]:
    """Accuracy over samples, with its interval."""
    correct, total = int((predictions.logits.argmax(1) == predictions.labels).sum()), len(predictions.labels)
    interval = list(wilson_interval(correct, total))
    return {"samples": total, "correct": correct, "accuracy": correct / total, "accuracy_95": interval}


def figures_of(predictions: Predictions, class_names: Iterable[str]) -> dict[str, Any]:
    """Accuracy with its interval, loss, accuracy by class and speaker, confusion matrix (rows: true classes).

    Of values, `value_figures`.
    """
    if predictions.values:
        return value_figures(predictions.logits, predictions.labels, class_names, predictions.recordings)
    logits, labels = torch.from_numpy(predictions.logits), torch.from_numpy(predictions.labels)
    names = list(class_names)
    confusion = multiclass_confusion_matrix(logits.argmax(1), labels, num_classes=len(names))
    by_class = {
        name: (int(row[index]) / int(row.sum()) if int(row.sum()) else None)
        for index, (name, row) in enumerate(zip(names, confusion, strict=True))
    }
    figures = {
        **accuracy_of(predictions),
        "loss": float(cross_entropy(logits, labels)),
        "accuracy_by_class": by_class,
        "confusion": confusion.tolist(),
    }
    if predictions.speakers is not None:
        figures["accuracy_by_speaker"] = accuracy_by_speaker(predictions, predictions.speakers)
    return figures


def accuracy_by_speaker(predictions: Predictions, speakers: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy over the samples of each speaker, by the number of ``speakers`` (N,)."""
    right = predictions.logits.argmax(1) == predictions.labels
    return {str(speaker): float(right[speakers == speaker].mean()) for speaker in np.unique(speakers).tolist()}


def top_figures(predictions: Predictions, batch_size: int) -> dict[str, Any]:
    """What evaluation scripts of others report besides.

    ``top``: the share of decisions whose class is among the k largest logits, for k of `TOP` below the number of
    classes; of equal logits the lower index comes first. ``batches``: the mean of the means of batches, which counts
    the last one, where it is smaller, as much as any other.
    """
    logits, labels = predictions.logits, predictions.labels
    own = logits[np.arange(len(labels)), labels]
    before = np.arange(logits.shape[1]) < labels[:, None]
    rank = ((logits > own[:, None]) | ((logits == own[:, None]) & before)).sum(axis=1)
    means = [float((rank[start : start + batch_size] == 0).mean()) for start in range(0, len(rank), batch_size)]
    return {
        "top": {str(k): float((rank < k).mean()) for k in TOP if k < logits.shape[1]},
        "batches": {"size": batch_size, "mean_of_means": float(np.mean(means))},
    }


def predict_series(model: nn.Module, batches: Iterable[Batch], device: torch.device | str = "cpu") -> PredictedSeries:
    """Run a model that predicts values in evaluation mode over ``batches``."""
    outputs, targets = outputs_and_targets(model, batches, device)
    return PredictedSeries(outputs.numpy(), targets.numpy())


def series_figures(predicted: PredictedSeries) -> dict[str, Any]:
    """Mean squared error of predictions (N, T, F), in all and in the second half, and the mean's own."""
    outputs, targets = predicted.outputs, predicted.targets
    squared = (outputs.astype(np.float64) - targets) ** 2
    return {
        "samples": len(targets),
        "loss": float(squared.mean()),
        "loss_second_half": float(squared[:, targets.shape[1] // 2 :].mean()),
        "loss_of_mean": float(targets.astype(np.float64).var(axis=(0, 1)).mean()),
    }
