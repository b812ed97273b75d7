"""The stage ``quantize``: calibration, fine-tuning, freezing and lowering."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..api.candidates import predictions
from ..api.quantize import Tuning, quantize
from ..api.simulated import Simulated
from ..errors import PumiceError
from ..hw_sim import simulator
from ..hw_sim.parity.fidelity import spike_rates
from ..hw_sim.parity.health import health
from ..hw_sim.parity.noise import sqnr_of
from ..hw_sim.parity.paired import compare_decisions
from ..program import Program
from ..quantize.config import QuantizationConfig
from ..quantize.families import prepare, why_unavailable
from ..records import versions
from ..terminal import Printer, Table
from ..train.data.base import TaskDataModule
from ..train.evaluate import Predictions, figures_of, interval_text
from ..train.settings import LoggingSettings, SystemSettings, TrainingSettings, read_section
from ..train.values import value_text
from ..train.weights import read_weights
from . import train as stage_train
from .build import apply_system, build_data, build_model, check_windows, load_model
from .evaluate import recordings_of
from .folder import RunFolder, file_digest
from .invariants import check_labels

LOOKED_AT = 64
"""Samples that show whether layers spike and values clip."""


def unavailable(config: Mapping[str, Any]) -> str | None:
    """Why the configured model or task cannot be quantized; None if it can."""
    return why_unavailable(config)


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    stage_train.check(config)
    check_possible(config)


def check_possible(config: Mapping[str, Any]) -> None:
    """Refuse settings of quantization that no program of the configured model can be made of.

    Raises:
        PumiceError: naming the setting.
    """
    settings = QuantizationConfig.from_mapping(config["quantize"])
    training = read_section(TrainingSettings, config, "training")
    data = build_data(config, training, read_section(SystemSettings, config, "system"))
    model = build_model(config, data, initial=False)
    prepare(model, settings, data.timing)


def check_decides(config: Mapping[str, Any], what: str) -> None:
    """Refuse a task without classes, for ``what`` counts decisions.

    Raises:
        PumiceError: the task asks for values.
    """
    training = read_section(TrainingSettings, config, "training")
    data = build_data(config, training, read_section(SystemSettings, config, "system"))
    if data.regression:
        raise PumiceError(f"{what} counts right decisions, and task {data.task.name} has none; use a task with classes")


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Quantize ``weights.safetensors``; write ``quantized.safetensors``, ``program.npz`` and ``lowering.json``.

    Of the calibrated and the fine-tuned model the one that diverges less from the float model is written.
    """
    training = read_section(TrainingSettings, config, "training")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    data = build_data(config, training, system)
    weights = folder.path / "weights.safetensors"
    model = load_model(config, data, read_weights(weights))
    check_windows(model, data)
    done = quantize(
        model,
        data,
        QuantizationConfig.from_mapping(config["quantize"]),
        fine_tune=Tuning(
            recipe=training,
            seed=config["seed"],
            folder=folder.path / "quantize",
            system=replace(system, devices=1, nodes=1),  # fine-tuning is one process's work
            logs=read_section(LoggingSettings, config, "logging"),
            info={"format": 1, "quantize": dict(config["quantize"]), "versions": versions()},
        ),
        provenance=provenance(config, weights),
    )
    digest = done.save(folder.path)
    results = {"float": _predict(model, data)}
    candidates = {name: Simulated(frozen, data.timing) for name, frozen in done.candidates.items()}
    for name, program in candidates.items():
        known = {done.choice.by: done.judged[name]} if name in done.judged else {}
        results[name] = _predict(program, data, known)
    figures = {name: _figures(result, results["float"], data.class_names) for name, result in results.items()}
    for split in data.figure_splits:
        check_labels(split, figures["float"][split], data.labels(split))
    _add_other_protocols(figures, {"float": model, done.chosen: candidates[done.chosen]}, data)
    _print(figures, done.chosen, data.task.name)
    console = Printer()
    console.print(f"chosen: {done.choice.sentence()}", highlight=False)
    console.print(done.table())
    memory = parameters_of(done.program)
    console.print(
        f"parameters: {memory['parameter_bytes']:,} bytes, {memory['mean_bits']:.1f} bits each on average",
        highlight=False,
    )
    console.print(f"program: {folder.path / 'program.npz'}")
    notes = _notes(done.program, data, results[done.chosen]["test"], system.threads)
    for note in notes:
        console.print(f"note: {note}", highlight=False)
    return {
        **figures,
        "chosen": done.chosen,
        "choice": done.choice.figures(),
        "program_digest": digest,
        "memory": memory,
        "notes": notes,
        "fine_tuning": {"best": done.best, "seconds": round(done.seconds, 1)},
    }


def parameters_of(program: Program) -> dict[str, float]:
    """Bytes of all that a program keeps, rounded up, and bits of a number of it on average: weights, biases, shifts."""
    tensors = [tensor for node in program for tensor in node.tensors()]
    bits, count = sum(node.parameter_bits for node in program), sum(tensor.codes.size for tensor in tensors)
    return {"parameter_bytes": -(-bits // 8), "mean_bits": bits / count if count else 0.0}


def _notes(program: Program, data: TaskDataModule, decided: Predictions, threads: int | None) -> list[str]:
    """Signs that the program tells less than its figures (`hw_sim.parity.health`), on the first that choose."""
    samples = data.program_samples("validation" if data.judge else "train", LOOKED_AT)
    clipped = Counter[str]()
    for trace in simulator.run(program, samples, threads=threads):
        clipped.update(trace.saturations)
    scores = decided.logits[:0] if decided.values else decided.logits  # of values none is the highest
    return health(program, samples, clipped, spike_rates(program, samples, threads), scores).lines()


def _predict(
    model: nn.Module, data: TaskDataModule, known: Mapping[str | None, Predictions] | None = None
) -> dict[str, Predictions]:
    """Logits of every split, in the model's own precision; of those in ``known`` nothing is computed anew."""
    found = {}
    for split in data.figure_splits:
        said = (known or {}).get(split) or predictions(model, data.batches(split))
        found[split] = replace(said, recordings=recordings_of(data, split))
    return found


def _figures(
    result: Mapping[str, Predictions], reference: Mapping[str, Predictions], class_names: Sequence[str]
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for split in result:
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
    if integer.values:
        return {"sqnr_db": sqnr_of(integer.logits, reference.logits)}
    paired = compare_decisions(reference.logits.argmax(1), integer.logits.argmax(1), integer.labels)
    return {
        "sqnr_db": sqnr_of(integer.logits, reference.logits),
        "same_class": paired.same_class,
        "only_float_right": paired.only_a_right,
        "only_integer_right": paired.only_b_right,
        "mcnemar_p": paired.mcnemar_p,
    }


def provenance(config: Mapping[str, Any], weights: Path) -> dict[str, Any]:
    """What the program tells of its making: settings, the float weights' digest, versions."""
    kept = {section: config[section] for section in ("task", "model", "quantize", "seed")}
    return {
        "config": json.loads(json.dumps(kept)),
        "weights_sha256": file_digest(weights),
        "versions": versions(),
    }


def _print(figures: Mapping[str, Any], chosen: str, task: str) -> None:
    splits = [split for split in ("validation", "test") if split in figures["float"]]
    names = {"float": "float", "ptq": "calibrated", "qat": "fine-tuned"}
    if "accuracy" not in figures["float"]["test"]:
        table = Table("model", *splits, "SQNR", title=f"quantization on {task}", caption="squared error and SI-SNR")
        for name, entry in figures.items():
            ratio = entry["test"].get("sqnr_db")
            told = [value_text(entry[split]).removeprefix("squared error ") for split in splits]
            label = names[name] + (" (kept)" if name == chosen else "")
            table.add_row(label, *told, "" if ratio is None else f"{ratio:.1f} dB")
        Printer().print(table)
        return
    columns = ("model", *splits, "95 % interval", "SQNR", "same", "lost", "won", "p")
    caption = (
        "on test samples: same class as in float; lost: right in float, wrong in integers; won: the other way round; "
        "p: of McNemar's exact test of lost against won"
    )
    table = Table(*columns, title=f"quantization on {task}", caption=caption)
    for name, entry in figures.items():
        label = names[name] + (" (kept)" if name == chosen else "")
        table.add_row(label, *_cells(entry))
    for name, entry in figures.items():
        for protocol, other in entry.get("other_protocols", {}).items():
            table.add_row(f"{names[name]}, {protocol}", *_cells(other))
    Printer().print(table)


def _cells(entry: Mapping[str, Any]) -> list[str]:
    test = entry["test"]
    low, high = test["accuracy_95"]
    row = [f"{entry[split]['accuracy']:.2%}" for split in ("validation", "test") if split in entry]
    row.append(interval_text(low, high))
    if "sqnr_db" in test:
        sqnr = "" if test["sqnr_db"] is None else f"{test['sqnr_db']:.1f} dB"
        row += [sqnr, f"{test['same_class'] / test['samples']:.2%}"]
        row += [str(test["only_float_right"]), str(test["only_integer_right"]), f"{test['mcnemar_p']:.2g}"]
    return row
