"""The stage ``quantize``: calibration, fine-tuning, freezing and lowering."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from ..files import write_json
from ..program import save
from ..quantization.config import QuantizationConfig
from ..quantization.families import family_of, prepare, why_unavailable
from ..quantization.qat import calibrate_on, fine_tune
from ..quantization.weights import save_frozen
from ..train.data.base import TaskDataModule
from ..train.evaluate import Predictions, figures_of, hard_labels
from ..train.settings import LoggingSettings, SystemSettings, TrainingSettings, read_section
from ..train.weights import load_weights
from . import train as stage_train
from .build import apply_system, build_data, build_model
from .folder import RunFolder, file_digest, timed, versions

SPLITS = ("validation", "test")


def unavailable(config: Mapping[str, Any]) -> str | None:
    """Why the configured model or task cannot be quantized; None if it can."""
    return why_unavailable(config)


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    stage_train.check(config)
    settings = QuantizationConfig.from_mapping(config["quantize"])
    training = read_section(TrainingSettings, config, "training")
    data = build_data(config, training, read_section(SystemSettings, config, "system"))
    model = build_model(config, data)
    prepare(model, settings, data.timing)


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Quantize ``weights.safetensors``; write ``quantized.safetensors``, ``program.npz`` and ``lowering.json``.

    The better of the calibrated and the fine-tuned model, by validation, is written.
    """
    settings = QuantizationConfig.from_mapping(config["quantize"])
    training = read_section(TrainingSettings, config, "training")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    data = build_data(config, training, system)
    model = build_model(config, data)
    family = family_of(model, settings.arithmetic)
    weights = folder.path / "weights.safetensors"
    load_weights(weights, model)

    results = {"float": _predict(model, data)}
    qat = calibrate_on(prepare(model, settings, data.timing), data)
    results["ptq"] = _predict(qat.freeze(), data)
    chosen, seconds, best = "ptq", 0.0, None
    tuning = settings.qat.of(family.name)
    if tuning.epochs:
        tuned = prepare(model, settings, data.timing)
        tuned.load_state_dict(qat.state_dict())  # its ranges
        info = {"format": 1, "quantize": dict(config["quantize"]), "versions": versions()}
        logs = read_section(LoggingSettings, config, "logging")
        with timed() as spent:
            best = fine_tune(
                tuned,
                data,
                folder.path / "quantize",
                tuning,
                training=training,
                system=system,
                logs=logs,
                seed=config["seed"],
                info=info,
            )
        seconds = spent[0]
        results["qat"] = _predict(tuned.freeze(), data)
        if _rank(results["qat"]["validation"]) >= _rank(results["ptq"]["validation"]):
            chosen, qat = "qat", tuned
    frozen = qat.freeze()
    provenance = _provenance(config, weights, chosen)
    program = family.lower(qat, frozen, data.class_names, provenance)
    report = family.report(qat, program)
    save_frozen(folder.path / "quantized.safetensors", frozen, provenance)
    digest = save(program, folder.path / "program.npz")
    write_json(folder.path / "lowering.json", {"program": digest, "layers": report})
    figures = {name: _figures(result, results["float"], data.class_names) for name, result in results.items()}
    _add_other_protocols(figures, {"float": model, chosen: frozen}, data)
    _print(figures, chosen, folder, data.task.name)
    console = Console()
    console.print(family.table(report, qat))
    console.print(f"program: {folder.path / 'program.npz'}")
    return {
        **figures,
        "chosen": chosen,
        "program_digest": digest,
        "fine_tuning": {"best": best, "seconds": round(seconds, 1)},
    }


def _predict(model: nn.Module, data: TaskDataModule) -> dict[str, Predictions]:
    """Logits of every split, in the model's own precision."""
    found = {}
    with torch.inference_mode():
        for split in SPLITS:
            pairs = [batch.apply(model.eval()) for batch in data.batches(split)]
            logits, targets = (torch.cat(parts) for parts in zip(*pairs, strict=True))
            found[split] = Predictions(logits.double().numpy(), hard_labels(targets).numpy())
    return found


def _rank(predictions: Predictions) -> tuple[float, float]:
    figures = figures_of(predictions, [str(i) for i in range(predictions.logits.shape[1])])
    return figures["accuracy"], -figures["loss"]


def _figures(
    result: Mapping[str, Predictions], reference: Mapping[str, Predictions], class_names: Sequence[str]
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for split in SPLITS:
        figures[split] = figures_of(result[split], class_names)
        if result is not reference:
            figures[split] |= agreement(result[split], reference[split])
    return figures


def _add_other_protocols(
    figures: Mapping[str, dict[str, Any]], models: Mapping[str, nn.Module], data: TaskDataModule
) -> None:
    """The figures of ``models`` by the task's other ways to count, where it has any."""
    for protocol, other in data.other_protocols().items():
        results = {name: _predict(model, other) for name, model in models.items()}
        for name, result in results.items():
            entry = _figures(result, results["float"], other.class_names)
            figures[name].setdefault("other_protocols", {})[protocol] = entry


def agreement(integer: Predictions, reference: Predictions) -> dict[str, Any]:
    """How integer logits depart from the float model's: SQNR in dB, and samples that only one of them gets right."""
    noise = float(((integer.logits - reference.logits) ** 2).sum())
    power = float((reference.logits**2).sum())
    ours = integer.logits.argmax(1) == integer.labels
    theirs = reference.logits.argmax(1) == reference.labels
    return {
        "sqnr_db": round(10 * np.log10(power / noise), 2) if noise > 0 and power > 0 else None,
        "same_class": int((integer.logits.argmax(1) == reference.logits.argmax(1)).sum()),
        "only_float_right": int((theirs & ~ours).sum()),
        "only_integer_right": int((ours & ~theirs).sum()),
    }


def _provenance(config: Mapping[str, Any], weights: Path, chosen: str) -> dict[str, Any]:
    kept = {section: config[section] for section in ("task", "model", "quantize", "seed")}
    return {
        "config": json.loads(json.dumps(kept)),
        "method": chosen,
        "weights_sha256": file_digest(weights),
        "versions": versions(),
    }


def _print(figures: Mapping[str, Any], chosen: str, folder: RunFolder, task: str) -> None:
    columns = ("model", "validation", "test", "95 % interval", "SQNR", "lost", "won")
    caption = "test samples lost: right in float, wrong in integers; won: the other way round"
    table = Table(*columns, title=f"quantization on {task}", caption=caption)
    names = {"float": "float", "ptq": "calibrated", "qat": "fine-tuned"}
    for name, entry in figures.items():
        label = names[name] + (" (kept)" if name == chosen else "")
        table.add_row(label, *_cells(entry))
    for name, entry in figures.items():
        for protocol, other in entry.get("other_protocols", {}).items():
            table.add_row(f"{names[name]}, {protocol}", *_cells(other))
    Console().print(table)


def _cells(entry: Mapping[str, Any]) -> list[str]:
    test = entry["test"]
    low, high = test["accuracy_95"]
    row = [f"{entry['validation']['accuracy']:.2%}", f"{test['accuracy']:.2%}", f"{low:.1%} to {high:.1%}"]
    if "sqnr_db" in test:
        sqnr = "" if test["sqnr_db"] is None else f"{test['sqnr_db']:.1f} dB"
        row += [sqnr, str(test["only_float_right"]), str(test["only_integer_right"])]
    return row
