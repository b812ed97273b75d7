"""The stage ``evaluate``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import ceil
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from ..archives import save_arrays
from ..terminal import Printer, Table, track
from ..train.activity import SpikeRates, rates_text
from ..train.data.base import TaskDataModule
from ..train.data.sequences.datamodule import SequenceDataModule
from ..train.evaluate import (
    PredictedSeries,
    Predictions,
    figures_of,
    interval_text,
    predict,
    predict_series,
    series_figures,
    top_figures,
)
from ..train.settings import SystemSettings, TrainingSettings, read_section
from ..train.weights import read_weights
from .build import apply_system, build_data, device_of, load_model
from .folder import RunFolder
from .invariants import SPLITS, check_apart, check_labels
from .train import check as check  # the same settings


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Evaluate ``weights.safetensors``, write ``predictions.npz``, and return the figures of each split.

    ``predictions.npz`` holds ``<split>_logits`` (N, C) float32 and ``<split>_labels`` (N,) int64, of values (N, C)
    float32 with the number of the recording ``<split>_recordings`` (N,); of forecasts ``<split>_outputs`` and
    ``<split>_targets`` (N, T, F). Where the data say who was recorded,
    ``<split>_speakers`` (N,) int64. The figures of models with spikes have ``spike_rates`` by layer.
    """
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    training = read_section(TrainingSettings, config, "training")
    data = build_data(config, training, system)
    weights = read_weights(folder.path / "weights.safetensors")
    model = load_model(config, data, weights)
    measure = _series if data.regression and not data.decides_on_blocks else _classes
    run_over = _Pass(device_of(system), training.eval_batch_size)
    note = _check_splits(data)
    arrays, figures = measure(model, data, run_over)
    save_arrays(folder.path / "predictions.npz", arrays)
    if data.other_protocols():
        figures["other_protocols"] = {
            name: measure(model, other, run_over)[1] for name, other in data.other_protocols().items()
        }
    imported = "imported" in weights.info  # nobody here knows what chose those
    figures["selected_on"] = None if imported else data.task.select_on
    (_print_series if data.regression else _print)(figures, folder, data.task.name)
    if note:
        Printer().print(f"note: {note}", highlight=False)
    return figures


def _check_splits(data: TaskDataModule) -> str | None:
    """Validation and test are apart, where the task does not choose by test on purpose; see `check_apart`."""
    if data.task.select_on != "validation":
        return None
    return check_apart(data.task.name, *(data.program_samples(split) for split in data.figure_splits))


@dataclass(frozen=True)
class _Pass:
    """How a model runs over a split: on which device, and how many samples of a batch."""

    device: torch.device
    size: int

    def batches(self, data: TaskDataModule, split: str) -> Iterable[Any]:
        """The batches of a split; how far they are is told."""
        total = ceil(len(data.samples(split)) / self.size)
        return track(data.batches(split), f"evaluation of {split}, batches", total)


def _classes(model: nn.Module, data: TaskDataModule, run_over: _Pass) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    found, figures = {}, {}
    for split in data.figure_splits:
        spikes = SpikeRates(model)
        said = predict(model, spikes.over(run_over.batches(data, split)), run_over.device)
        found[split] = replace(said, speakers=data.speakers(split), recordings=recordings_of(data, split))
        entry = figures[split] = figures_of(found[split], data.class_names)
        check_labels(split, entry, data.labels(split))
        if not found[split].values:
            entry |= top_figures(found[split], run_over.size)
        entry |= spikes.figures()
    return _named(found), figures


def recordings_of(data: TaskDataModule, split: str) -> NDArray[Any] | None:
    """The number of the recording that each value of a split belongs to, (M,); None of classes."""
    return data.recordings(split) if data.regression and isinstance(data, SequenceDataModule) else None


def _series(model: nn.Module, data: TaskDataModule, run_over: _Pass) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    found, figures = {}, {}
    for split in data.figure_splits:
        spikes = SpikeRates(model)
        found[split] = predict_series(model, spikes.over(run_over.batches(data, split)), run_over.device)
        figures[split] = series_figures(found[split]) | spikes.figures()
    return _named(found), figures


def _named(found: Mapping[str, Predictions | PredictedSeries]) -> dict[str, NDArray[Any]]:
    """The arrays of every split as ``<split>_<what>``."""
    named = {f"{split}_{item.name}": getattr(each, item.name) for split, each in found.items() for item in fields(each)}
    return {name: array for name, array in named.items() if array is not None}


def _print(figures: Mapping[str, Any], folder: RunFolder, task: str) -> None:
    table = Table("split", "samples", "accuracy", "95 % interval", "loss", title=f"float model on {task}")
    for protocol, entries in {"": figures, **figures.get("other_protocols", {})}.items():
        for split in [split for split in SPLITS if split in entries]:
            entry = entries[split]
            low, high = entry["accuracy_95"]
            name = f"{split}, {protocol}" if protocol else split
            name += " (chose the weights)" if split == figures["selected_on"] and not protocol else ""
            interval = interval_text(low, high)
            table.add_row(name, str(entry["samples"]), f"{entry['accuracy']:.2%}", interval, f"{entry['loss']:.4f}")
    _show(table, folder, _other_counts(figures["test"]), *_spikes(figures["test"]))


def _other_counts(entry: Mapping[str, Any]) -> str:
    """What scripts of others print of the test set, see `top_figures`."""
    top = [f"top {k}: {share:.2%}" for k, share in entry["top"].items()]
    batches = f"mean of the means of batches of {entry['batches']['size']}: {entry['batches']['mean_of_means']:.2%}"
    return "; ".join(["test", *top, batches]).replace("test; ", "test, ", 1)


def _print_series(figures: Mapping[str, Any], folder: RunFolder, task: str) -> None:
    table = Table("split", "samples", "squared error", "of the mean", "SI-SNR", title=f"float model on {task}")
    for split in [split for split in SPLITS if split in figures]:
        entry = figures[split]
        ratio = entry.get("si_snr_db")
        shown = f"{entry['loss']:.4f}", f"{entry['loss_of_mean']:.4f}", "" if ratio is None else f"{ratio:.2f} dB"
        table.add_row(split, str(entry["samples"]), *shown)
    _show(table, folder, *_spikes(figures["test"]))


def _spikes(entry: Mapping[str, Any]) -> Iterator[str]:
    """How often the neurons of each layer spike."""
    if "spike_rates" in entry:
        yield f"test, spikes a neuron and step: {rates_text(entry['spike_rates'])}"


def _show(table: Table, folder: RunFolder, *lines: str) -> None:
    console = Printer()
    console.print(table)
    for line in lines:
        console.print(line, highlight=False)
    console.print(f"figures: {folder.path / 'metrics.json'}")
