"""The stage ``quantize``: calibration, fine-tuning, freezing and lowering."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from ..files import write_json
from ..models.s5.classifier import S5Classifier
from ..train import stage_train
from ..train.build import apply_system, build_data, build_model
from ..train.data.datamodule import EventDataModule
from ..train.evaluate import Predictions, figures_of
from ..train.run_folder import RunFolder, file_digest, timed, versions
from ..train.settings import LoggingSettings, SystemSettings, TrainingSettings, read_section
from ..train.weights import load_weights
from .config import QuantizationConfig
from .lower import growing_modes, lower, lowering_report
from .program import save
from .qat import calibrate_on, fine_tune, tick_ms_of
from .twin.model import QuantS5Classifier, convert
from .weights import save_frozen

SPLITS = ("validation", "test")


def unavailable(config: Mapping[str, Any]) -> str | None:
    """Why the configured model or task cannot be quantized; None if it can."""
    family = config["model"].get("family")
    return None if family == "s5" else f"model.family={family} cannot be quantized; use model.family=s5"


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    stage_train.check(config)
    settings = QuantizationConfig.from_mapping(config["quantize"])
    training = read_section(TrainingSettings, config, "training")
    data = build_data(config, training, read_section(SystemSettings, config, "system"))
    convert(_model(config, data), settings, tick_ms_of(settings, data.tick_ms))


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Quantize ``weights.safetensors``; write ``quantized.safetensors``, ``program.npz`` and ``lowering.json``.

    The better of the calibrated and the fine-tuned twin, by validation, is written.
    """
    settings = QuantizationConfig.from_mapping(config["quantize"])
    training = read_section(TrainingSettings, config, "training")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    data = build_data(config, training, system)
    model = _model(config, data)
    weights = folder.path / "weights.safetensors"
    load_weights(weights, model)
    tick_ms = tick_ms_of(settings, data.tick_ms)
    if settings.tick_ms is None and data.tick_ms is None:
        Console().print(f"the task has exact times; the program's tick is {tick_ms} ms")

    results = {"float": _predict(model, data)}
    twin = calibrate_on(convert(model, settings, tick_ms), data)
    results["ptq"] = _predict(twin.freeze(), data)
    chosen, seconds, best = "ptq", 0.0, None
    if settings.qat.epochs:
        tuned = calibrated_copy(twin, model)
        info = {"format": 1, "quantize": dict(config["quantize"]), "versions": versions()}
        logs = read_section(LoggingSettings, config, "logging")
        with timed() as spent:
            best = fine_tune(
                tuned,
                data,
                folder.path / "quantize",
                training=training,
                system=system,
                logs=logs,
                seed=config["seed"],
                info=info,
            )
        seconds = spent[0]
        results["qat"] = _predict(tuned.freeze(), data)
        if _rank(results["qat"]["validation"]) >= _rank(results["ptq"]["validation"]):
            chosen, twin = "qat", tuned
    frozen = twin.freeze()
    provenance = _provenance(config, weights, chosen)
    program = lower(
        frozen,
        pairing=data.task.pairing,
        class_names=data.class_names,
        max_dead_zone=settings.max_dead_zone,
        held=growing_modes(twin),
        provenance=provenance,
    )
    report = lowering_report(twin, program)
    save_frozen(folder.path / "quantized.safetensors", frozen, provenance)
    digest = save(program, folder.path / "program.npz")
    write_json(folder.path / "lowering.json", {"program": digest, "layers": report})
    figures = {name: _figures(result, results["float"], data) for name, result in results.items()}
    _print(figures, chosen, report, folder, data.task.name)
    return {
        **figures,
        "chosen": chosen,
        "program_digest": digest,
        "fine_tuning": {"best": best, "seconds": round(seconds, 1)},
    }


def calibrated_copy(twin: QuantS5Classifier, model: S5Classifier) -> QuantS5Classifier:
    """Another twin of ``model`` with the ranges of ``twin``."""
    copy = convert(model, twin.config, twin.tick_ms)
    copy.load_state_dict(twin.state_dict())
    return copy


def _model(config: Mapping[str, Any], data: EventDataModule) -> S5Classifier:
    model = build_model(config, data)
    assert isinstance(model, S5Classifier)  # the only family that the stage takes
    return model


def _predict(model: nn.Module, data: EventDataModule) -> dict[str, Predictions]:
    """Logits of every split, in the model's own precision."""
    found = {}
    with torch.inference_mode():
        for split in SPLITS:
            logits, labels = [], []
            for batch in data.batches(split):
                logits.append(model.eval()(batch.tokens, batch.dt, batch.lengths, batch.pool_dt).double())
                labels.append(batch.targets.argmax(1))
            found[split] = Predictions(torch.cat(logits).numpy(), torch.cat(labels).numpy())
    return found


def _rank(predictions: Predictions) -> tuple[float, float]:
    figures = figures_of(predictions, [str(i) for i in range(predictions.logits.shape[1])])
    return figures["accuracy"], -figures["loss"]


def _figures(
    result: Mapping[str, Predictions], reference: Mapping[str, Predictions], data: EventDataModule
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for split in SPLITS:
        figures[split] = figures_of(result[split], data.class_names)
        if result is not reference:
            figures[split] |= agreement(result[split], reference[split])
    return figures


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


def _print(
    figures: Mapping[str, Any], chosen: str, report: list[dict[str, Any]], folder: RunFolder, task: str
) -> None:
    columns = ("model", "validation", "test", "95 % interval", "SQNR", "lost", "won")
    caption = "test samples lost: right in float, wrong in integers; won: the other way round"
    table = Table(*columns, title=f"quantization on {task}", caption=caption)
    names = {"float": "float", "ptq": "calibrated", "qat": "fine-tuned"}
    for name, entry in figures.items():
        test = entry["test"]
        low, high = test["accuracy_95"]
        row = [names[name] + (" (kept)" if name == chosen else ""), f"{entry['validation']['accuracy']:.2%}"]
        row += [f"{test['accuracy']:.2%}", f"{low:.1%} to {high:.1%}"]
        if name != "float":
            sqnr = "" if test["sqnr_db"] is None else f"{test['sqnr_db']:.1f} dB"
            row += [sqnr, str(test["only_float_right"]), str(test["only_integer_right"])]
        table.add_row(*row)
    layers = Table("layer", "dead zone", "gap digits", "64-bit", "clipped", "growing", title="lowering")
    for entry in report:
        wide = [what for what, size in entry["registers"].items() if size == "i64"]
        clipped = sum(entry["clipped_weights"].values())
        layers.add_row(
            entry["layer"].replace("stages.", "").replace("layers.", ""),
            f"{entry['dead_zone']['share']:.2%}",
            str(entry["gap_digits"]),
            ", ".join(wide) or "none",
            str(clipped),
            str(entry["growing_modes"]),
        )
    console = Console()
    console.print(table)
    console.print(layers)
    console.print(f"program: {folder.path / 'program.npz'}")
