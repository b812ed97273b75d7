"""The stage ``evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..files import atomic_path
from .build import apply_system, build_data, build_model, device_of
from .evaluate import figures_of, predict
from .run_folder import RunFolder
from .settings import SystemSettings, TrainingSettings, read_section
from .stage_train import check as check  # the same settings
from .weights import load_weights

SPLITS = ("validation", "test")


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Evaluate ``weights.safetensors``, write ``predictions.npz``, and return the figures of each split.

    ``predictions.npz`` holds ``<split>_logits`` (N, C) float32 and ``<split>_labels`` (N,) int64.
    """
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    data = build_data(config, read_section(TrainingSettings, config, "training"), system)
    model = build_model(config, data)
    load_weights(folder.path / "weights.safetensors", model)
    arrays, figures = {}, {}
    for split in SPLITS:
        predictions = predict(model, data.batches(split), device_of(system))
        arrays[f"{split}_logits"], arrays[f"{split}_labels"] = predictions.logits, predictions.labels
        figures[split] = figures_of(predictions, data.class_names)
    with atomic_path(folder.path / "predictions.npz") as target:
        np.savez(target, **arrays)
    figures["selected_on"] = data.task.select_on
    _print(figures, folder, data.task.name)
    return figures


def _print(figures: Mapping[str, Any], folder: RunFolder, task: str) -> None:
    table = Table("split", "samples", "accuracy", "95 % interval", "loss", title=f"float model on {task}")
    for split in SPLITS:
        entry = figures[split]
        low, high = entry["accuracy_95"]
        name = f"{split} (chose the weights)" if split == figures["selected_on"] else split
        interval = f"{low:.1%} to {high:.1%}"
        table.add_row(name, str(entry["samples"]), f"{entry['accuracy']:.2%}", interval, f"{entry['loss']:.4f}")
    console = Console()
    console.print(table)
    console.print(f"figures: {folder.path / 'metrics.json'}")
