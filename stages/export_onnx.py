"""The stage of ``pumice export target=onnx``: models for other runtimes, checked against the program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..api.export import EXACT, FORMS, export_onnx
from ..api.programs import load
from ..errors import ParityError, PumiceError
from ..export.onnx.opset import check_opset
from ..export.onnx.trial import NAME as CHECK
from ..export.onnx.trial import RUN, run_check, run_examples, write_check, write_run
from ..export.onnx.wide import hazards
from ..files import write_json
from ..hw_sim.simulator import run as run_program
from ..program import digest
from ..terminal import Printer, Table
from ..train.settings import SystemSettings, TrainingSettings, read_section
from ..train.weights import read_weights
from . import train as stage_train
from .build import apply_system, build_data, load_model
from .decisions import make_test_set
from .folder import RunFolder
from .onnx_parity import compare_float, compare_qdq, parity

FOLDER = "onnx"
EXAMPLES = 2
"""Test recordings that lie beside the models, for ``run.py``."""


@dataclass(frozen=True)
class ExportSettings:
    """Section ``export``.

    Attributes:
        opset: operator set of the exact models, 16 to 21; None for the lowest that each needs, which is what the
            other models get.
        integers: whether the exact models hold integer tensors alone, for runtimes without float64; slower.
        step_samples: test samples that run event by event through the step model.
        float_samples: test samples on which the float model is compared with torch.
        qdq_samples: test samples on which the QuantizeLinear form is compared with the program.
    """

    opset: int | None = None
    integers: bool = False
    step_samples: int = 20
    float_samples: int = 20
    qdq_samples: int = 100

    def __post_init__(self) -> None:
        check_opset(self.opset, "export.opset")
        for name in ("step_samples", "float_samples", "qdq_samples"):
            if getattr(self, name) < 1:
                raise PumiceError(f"export.{name}={getattr(self, name)} has to be at least 1")


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
    model = load_model(config, data, read_weights(folder.path / "weights.safetensors"))
    program = load(folder.path / "program.npz")
    tests = make_test_set(config, data)
    target = folder.path / FOLDER
    for form in FORMS:
        opset = settings.opset if form in EXACT else None
        export_onnx(program, target / f"{form}.onnx", form=form, opset=opset, integers=settings.integers)
    export_onnx(model, target / "float.onnx", class_names=program.class_names)
    write_check(target)
    given = tests.samples[:EXAMPLES]
    write_run(target, data.raw("test", len(given)), np.stack([trace.logits for trace in run_program(program, given)]))
    answered = run_examples(target)
    tried = run_check(target, [f"{form}.onnx" for form in EXACT])
    names = (*FORMS, "float")
    figures = {
        "onnxruntime": version("onnxruntime"),
        "onnx": version("onnx"),
        **_versions(target, names),
        "program": digest(program),
        "bytes": {name: (target / f"{name}.onnx").stat().st_size for name in names},
        **parity(target, program, tests, settings.step_samples, system.threads),
        "qdq": compare_qdq(program, tests, settings.qdq_samples, system.threads),
        "float": compare_float(target / "float.onnx", model, data, settings.float_samples),
    }
    write_json(target / "export.json", figures)
    _print(figures, target, data.task.name)
    _print_runtimes(target, tried)
    Printer().print(f"{target / RUN}: {answered}", highlight=False)
    _refuse_differences(figures, target)
    return figures


def _versions(target: Path, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Operator set and version of the file format, by model."""
    models = {name: onnx.load(target / f"{name}.onnx", load_external_data=False) for name in names}
    return {
        "opset": {name: model.opset_import[0].version for name, model in models.items()},
        "ir_version": {name: model.ir_version for name, model in models.items()},
    }


def _print(figures: Mapping[str, Any], target: Path, task: str) -> None:
    exact = _table("exact models", "model", "KiB", "samples", "logits", "differing", "accuracy", "events/s")
    for name in ("sequence", "step"):
        entry = figures[name]
        row = [entry["recordings"], f"{entry['values']:,}", f"{entry['differing']:,}", _accuracy(entry)]
        exact.add_row(name, _size(figures, name), *map(str, row), f"{entry['events_per_s']:,}")
    exact.caption = "against the simulator: sequence by what it gives in the end, step by the logits after every event"
    near = _table("other models", "model", "KiB", "samples", "largest error", "SQNR", "same class", "accuracy")
    for name in ("qdq", "float"):
        entry = figures[name]
        noise = "" if entry["sqnr_db"] is None else f"{entry['sqnr_db']:.1f} dB"
        same = entry.get("same_class", entry.get("same_class_steps", ""))
        row = [entry["recordings"], f"{entry['largest_difference']:.2g}", noise, same, _accuracy(entry)]
        near.add_row(name, _size(figures, name), *map(str, row))
    near.caption = "qdq approximates the program (errors against it); float is the float model (errors against torch)"
    console = Printer()
    console.print(f"ONNX on the test set of {task}, onnxruntime {figures['onnxruntime']}", exact, near, sep="\n")
    console.print(f"models: {target}")


def _print_runtimes(target: Path, tried: Sequence[str]) -> None:
    """What the known answers gave, and what other runtimes may get wrong."""
    console = Printer(highlight=False)
    console.print(*tried, f"in another runtime: python {target / CHECK} openvino, or reference", sep="\n")
    wrong = hazards(onnx.load(target / "step.onnx"))
    if wrong:
        console.print(
            "warning: runtimes that keep 64-bit integers in 32 bits or reckon in float32, as OpenVINO does, get wrong: "
            + "; ".join(wrong)
        )


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
