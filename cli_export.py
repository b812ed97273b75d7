"""The verb ``export`` and its stage for ONNX: models for other runtimes, checked against the program."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from .cli_samples import make_test_set
from .cli_simulate import ParityError
from .errors import PumiceError
from .export.onnx import build_sequence, build_step
from .export.onnx.float_graph import build_float_sequence, float_feed
from .export.onnx.model import IR_VERSION, OPSET
from .export.onnx.qdq import QDQ
from .export.onnx.session import Session, run_sequence, run_step
from .files import atomic_path, write_json
from .hw_sim.reference import Sample
from .hw_sim.simulator import Simulator
from .hw_sim.simulator import run as simulate
from .models.s5.classifier import S5Classifier
from .quantize.program import Program, ProgramError, digest, load
from .train import stage_train
from .train.build import apply_system, build_data, build_model
from .train.data.datamodule import EventDataModule
from .train.evaluate import Predictions, figures_of
from .train.run_folder import RunFolder
from .train.settings import SystemSettings, TrainingSettings, read_section
from .train.weights import load_weights

TARGETS = {"onnx": "export-onnx", "lava": "export-lava"}
"""The stage of each target."""

FOLDER = "onnx"


@dataclass(frozen=True)
class ExportSettings:
    """Section ``export``.

    Attributes:
        step_samples: test samples that run event by event through the step model.
        float_samples: test samples on which the float model is compared with torch.
        qdq_samples: test samples on which the QuantizeLinear form is compared with the program.
    """

    step_samples: int = 20
    float_samples: int = 20
    qdq_samples: int = 100

    def __post_init__(self) -> None:
        for name in ("step_samples", "float_samples", "qdq_samples"):
            if getattr(self, name) < 1:
                raise PumiceError(f"export.{name}={getattr(self, name)} has to be at least 1")


def export(config: DictConfig) -> None:
    """Run the stage of the target.

    Raises:
        PumiceError: an unknown target.
    """
    from .cli_run import run_stages

    if config.target not in TARGETS:
        raise PumiceError(f"target={config.target} is unknown; use one of: {', '.join(TARGETS)}")
    run_stages(config, (TARGETS[config.target],))


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    stage_train.check(config)
    read_section(ExportSettings, config, "export")


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Write the ONNX models of the program and the float model, compare them, and return the figures.

    Raises:
        PumiceError: the program cannot be read, or the folder not be written to.
        ParityError: onnxruntime gives another integer than the program.
    """
    settings = read_section(ExportSettings, config, "export")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    data = build_data(config, read_section(TrainingSettings, config, "training"), system)
    model = build_model(config, data)
    if not isinstance(model, S5Classifier):
        raise PumiceError(f"model.family={config['model'].get('family')} cannot be exported yet; use model.family=s5")
    load_weights(folder.path / "weights.safetensors", model)
    try:
        program = load(folder.path / "program.npz")
        tests = make_test_set(config, data)
        samples, labels = tests.samples, tests.labels()
        target = folder.path / FOLDER
        builders: dict[str, Callable[[], onnx.ModelProto]] = {
            "step": lambda: build_step(program),
            "sequence": lambda: build_sequence(program),
            "float": lambda: build_float_sequence(model.eval(), program.class_names),
            "qdq": lambda: build_step(program, family=QDQ, branches=False),
        }
        for name, build in builders.items():
            _write(target / f"{name}.onnx", build())
        figures = {
            "onnxruntime": version("onnxruntime"),
            "onnx": version("onnx"),
            "opset": OPSET,
            "ir_version": IR_VERSION,
            "program": digest(program),
            "bytes": {name: (target / f"{name}.onnx").stat().st_size for name in builders},
            **_parity(target, program, samples, labels, settings, system.threads),
            "qdq": _compare_qdq(program, samples[: settings.qdq_samples], labels, system.threads),
            "float": _compare_float(target / "float.onnx", model, data, settings.float_samples),
        }
    except ProgramError as error:
        raise PumiceError(str(error)) from error
    write_json(target / "export.json", figures)
    _print(figures, target, data.task.name)
    _refuse_differences(figures, target)
    return figures


def _write(path: Path, model: onnx.ModelProto) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _parity(
    target: Path,
    program: Program,
    samples: Sequence[Sample],
    labels: np.ndarray,
    settings: ExportSettings,
    threads: int | None,
) -> dict[str, Any]:
    """The integer models against the simulator: all logits of the sequence model, running logits of the step model."""
    expected = np.stack([trace.logits for trace in simulate(program, samples, threads=threads)])
    session = Session(target / "sequence.onnx")
    start = time.perf_counter()
    logits = run_sequence(session, program, samples, workers=threads)
    seconds = time.perf_counter() - start
    events = sum(len(times) for _, times in samples)
    wrong = (logits != expected).any(axis=1)
    sequence = {
        "samples": len(samples),
        "values": int(expected.size),
        "differing": int((logits != expected).sum()),
        "first_sample": int(wrong.argmax()) if wrong.any() else None,
        "events_per_s": round(events / seconds),
        **figures_of(_predictions(program, logits, labels), program.class_names),
    }
    few = samples[: settings.step_samples]
    start = time.perf_counter()
    running = run_step(Session(target / "step.onnx"), program, few)
    seconds = time.perf_counter() - start
    step: dict[str, Any] = {"samples": len(few), "values": 0, "differing": 0, "first_sample": None, "first_event": None}
    for index, (found, (values, times)) in enumerate(zip(running, few, strict=True)):
        right, _ = Simulator(program).step_many(values, times)
        different = (found != right).any(axis=1)
        if different.any() and step["first_sample"] is None:
            step |= {"first_sample": index, "first_event": int(different.argmax())}
        step["values"] += int(right.size)
        step["differing"] += int((found != right).sum())
    step["events_per_s"] = round(sum(map(len, running)) / seconds)
    return {"sequence": sequence, "step": step}


def _predictions(program: Program, logits: np.ndarray, labels: np.ndarray) -> Predictions:
    scale = program[program.logits].output.scale
    return Predictions((logits * scale).astype(np.float64), labels[: len(logits)])


def _compare_qdq(
    program: Program, samples: Sequence[Sample], labels: np.ndarray, threads: int | None
) -> dict[str, Any]:
    """The approximate form against the program. Its sequence form computes the same and is faster over samples."""
    scale = program[program.logits].output.scale
    right = np.stack([trace.logits for trace in simulate(program, samples, threads=threads)]) * scale
    session = Session(build_sequence(program, family=QDQ).SerializeToString())
    found = run_sequence(session, program, samples, workers=threads).astype(np.float64)
    return {**_difference(found, right), **figures_of(Predictions(found, labels[: len(found)]), program.class_names)}


def _compare_float(path: Path, model: S5Classifier, data: EventDataModule, count: int) -> dict[str, Any]:
    batch = next(iter(data.batches("test", count)))
    arguments = (batch.tokens, batch.dt, batch.lengths, batch.pool_dt)
    with torch.inference_mode():
        right = model(*arguments).numpy()
    found = Session(path).run(float_feed(*arguments))["logits"]
    return _difference(found.astype(np.float64), right.astype(np.float64))


def _difference(found: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Largest difference of the logits, signal-to-noise ratio in dB, and how often the class is the same."""
    noise, power = float(((found - right) ** 2).sum()), float((right**2).sum())
    return {
        "samples": len(right),
        "largest_difference": float(np.abs(found - right).max()),
        "largest_logit": float(np.abs(right).max()),
        "sqnr_db": round(10 * float(np.log10(power / noise)), 2) if noise > 0 and power > 0 else None,
        "same_class": int((found.argmax(1) == right.argmax(1)).sum()),
    }


def _print(figures: Mapping[str, Any], target: Path, task: str) -> None:
    exact = _table("integer models", "model", "KiB", "samples", "logits", "differing", "accuracy", "events/s")
    for name in ("sequence", "step"):
        entry = figures[name]
        row = [entry["samples"], f"{entry['values']:,}", f"{entry['differing']:,}", _accuracy(entry)]
        exact.add_row(name, _size(figures, name), *map(str, row), f"{entry['events_per_s']:,}")
    exact.caption = "against the simulator: sequence by the last logits, step by those after every event"
    near = _table("other models", "model", "KiB", "samples", "largest error", "SQNR", "same class", "accuracy")
    for name in ("qdq", "float"):
        entry = figures[name]
        noise = "" if entry["sqnr_db"] is None else f"{entry['sqnr_db']:.1f} dB"
        row = [entry["samples"], f"{entry['largest_difference']:.2g}", noise, entry["same_class"], _accuracy(entry)]
        near.add_row(name, _size(figures, name), *map(str, row))
    near.caption = "qdq approximates the program (errors against it); float is the float model (errors against torch)"
    console = Console()
    console.print(f"ONNX on the test set of {task}, onnxruntime {figures['onnxruntime']}", exact, near, sep="\n")
    console.print(f"models: {target}")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column == "model" else "right")
    return table


def _accuracy(entry: Mapping[str, Any]) -> str:
    return f"{entry['accuracy']:.2%}" if "accuracy" in entry else ""


def _size(figures: Mapping[str, Any], name: str) -> str:
    return f"{figures['bytes'][name] / 1024:,.0f}"


def _refuse_differences(figures: Mapping[str, Any], target: Path) -> None:
    for name in ("sequence", "step"):
        entry = figures[name]
        if entry["differing"]:
            event = f", event {entry['first_event']}" if "first_event" in entry else ""
            raise ParityError(
                f"{entry['differing']:,} of {entry['values']:,} logits of {target / name}.onnx in onnxruntime "
                f"{figures['onnxruntime']} differ from the program's, first in sample {entry['first_sample']}{event}; "
                "use the simulator, and report this with program.npz"
            )
