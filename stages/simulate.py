"""The stage ``simulate``: is the program the same in every backend, bit for bit, and how good is it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..api.backends import BACKENDS
from ..api.frozen import padded_batch
from ..archives import load_arrays, save_arrays
from ..errors import PumiceError
from ..files import write_json
from ..hw_sim.parity.compare import Verdict
from ..hw_sim.parity.fidelity import signal_to_noise, spike_rates, state_bits, time_constants
from ..hw_sim.parity.health import health
from ..hw_sim.parity.noise import sqnr_of
from ..hw_sim.parity.paired import compare_decisions
from ..hw_sim.parity.ranges import ranges
from ..hw_sim.simulator import Simulator, run_stepwise
from ..hw_sim.simulator.along import duration_s, latency
from ..program import Program, digest
from ..program.samples import Sample
from ..quantize.config import ARITHMETICS
from ..quantize.families import family_of
from ..terminal import Printer, Table
from ..train.data.base import TaskDataModule
from ..train.evaluate import Predictions, figures_of, interval_text, predict
from ..train.settings import SystemSettings, read_section
from ..train.values import value_text
from ..train.weights import read_weights
from .build import load_model
from .comparison import SimulateSettings, first, prepare
from .decisions import TestSet
from .early import early
from .folder import RunFolder
from .invariants import check_figures
from .mistakes import encoding_of, mistakes
from .shard import merged


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    read_section(SimulateSettings, config, "simulate")
    read_section(SystemSettings, config, "system")


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Compare the backends on the whole test set; write ``simulate.json`` and ``simulate.npz``.

    ``simulate.npz`` holds ``labels`` (M,), the logits ``float`` and ``scores``, the oracle's, (M, C) of every decision:
    one a sample, or one a labelled block; every backend's last integer logits ``<name>`` (samples, C), with
    ``<name>_samples`` (samples,), numbers in the test set, where these are not all or the first; and of one sample
    ``example_values``, ``example_times`` (L,) in us and ``example_logits`` (L, C) after each event; and ``marks``, see
    `mistakes.mistakes`.

    Raises:
        ParityError: a value differs; simulate.json says where.
    """
    made = prepare(config, folder)
    settings, program, tests, data = made.settings, made.program, made.tests, made.data
    samples, labels, shares = tests.samples, tests.labels(), made.shares
    compared = merged(config, folder, program) or made.compare(shares)
    verdicts, scores, oracle = compared.verdicts, compared.scores, compared.oracle
    model = load_model(config, data, read_weights(folder.path / "weights.safetensors"))
    floats = _float_logits(folder.path / "predictions.npz", labels, model, data)
    heard = early(program, tests, data, model, made.system.threads)
    looked, marks = mistakes(program, tests, floats, scores[oracle], *encoding_of(data.task))
    rates = spike_rates(program, samples, made.system.threads)
    values = labels.dtype.kind == "f"
    decided = scores[oracle][:0] if values else scores[oracle]  # of values none is the highest
    looks = health(program, samples, _counters(verdicts, "saturations"), rates, decided)
    result = {
        "program": digest(program),
        "class_names": list(program.class_names),
        "events": sum(len(times) for _, times in samples),
        "differing": compared.differing,
        "oracle": oracle,
        "backends": {name: _backend_entry(verdict, samples, shares[name]) for name, verdict in verdicts.items()},
        "skipped": dict(compared.skipped),
        "parts": compared.parts,
        "accuracy": {
            "float": _figures(program, floats, tests, None),
            **{name: _figures(program, scores[name], tests, shares[name]) for name in verdicts},
        },
        "other_protocols": {
            name: _figures(program, compared.others[name], other, None) for name, other in made.others.items()
        },
        "float_and_integer": {"sqnr_db": sqnr_of(scores[oracle], floats)}
        if values
        else asdict(compare_decisions(floats.argmax(1), scores[oracle].argmax(1), labels)),
        "saturations": _counters(verdicts, "saturations"),
        "clipped_gaps": _counters(verdicts, "clipped_gaps"),
        "incomplete": verdicts[oracle].incomplete,
        **_inside(program, samples[: settings.traced], model),
        "spike_rates": rates,
        "duration_s": duration_s(program, samples),
        "early": heard,
        "mistakes": looked,
        "latency": latency(program, samples[settings.example]),
        "health": asdict(looks),
        "notes": looks.lines(),
        "example": {
            "sample": settings.example,
            "label": None if values else _only(tests.labels([settings.example])),
            "logits_frac": program[program.logits].output.frac,
        },
    }
    arrays: dict[str, NDArray[Any]] = {
        "labels": labels,
        "float": floats,
        "scores": scores[oracle],
        "marks": marks,
        **compared.logits,
    }
    arrays |= {
        f"{name}_samples": np.array(shares[name]) for name in verdicts if shares[name] != first(len(shares[name]))
    }
    _save(folder.path / "simulate.npz", program, samples[settings.example], arrays)
    check_figures(result["accuracy"])
    write_json(folder.path / "simulate.json", result)
    _print(result, data.task.name)
    compared.refuse_differences(folder.path / "simulate.json")
    return {key: result[key] for key in ("differing", "program", "float_and_integer", "incomplete", "skipped")} | {
        **_told(result["accuracy"]),
        "events_per_s": {name: entry["events_per_s"] for name, entry in result["backends"].items()},
    }


def _inside(
    program: Program,
    samples: Sequence[Sample],
    model: nn.Module,
) -> dict[str, Any]:
    """What the traced samples show: noise by node, the states' bits; and the program's time constants."""
    traces = run_stepwise(program, samples, trace=True)
    family = family_of(model, program.provenance["config"]["quantize"].get("arithmetic", ARITHMETICS[0]))
    values = []
    for sample in samples:
        values.append(family.float_values(model, program, padded_batch([sample], program.pairing)))
    return {
        "traced": len(samples),
        "sqnr_db": signal_to_noise(program, traces, values),
        "ranges": ranges(program, values),
        "state_bits": state_bits(program, traces),
        f"time_constants_{'steps' if program.clocked else 'ms'}": time_constants(program),
    }


def _float_logits(source: Path, labels: NDArray[Any], model: nn.Module, data: TaskDataModule) -> NDArray[np.float64]:
    """The float model's logits of the test set as ``evaluate`` has left them, or computed where it has not run."""
    if not source.is_file():
        return predict(model, data.batches("test")).logits.astype(np.float64)
    arrays = load_arrays(source, "evaluate")
    if not {"test_logits", "test_labels"} <= set(arrays):
        raise PumiceError(f"{source} holds no predictions of the test set; write it anew with redo=[evaluate]")
    floats, seen = arrays["test_logits"].astype(np.float64), arrays["test_labels"]
    if not np.array_equal(seen, labels):
        raise PumiceError(f"{source} belongs to another test set; write it anew with redo=[evaluate]")
    return floats


def _only(labels: NDArray[np.int64]) -> int | None:
    """The class that all decisions on one sample share; None where it has none or several."""
    return int(labels[0]) if len(set(labels.tolist())) == 1 else None


def _figures(
    program: Program, scores: NDArray[np.float64], tests: TestSet, chosen: Sequence[int] | None
) -> dict[str, Any]:
    found = Predictions(scores, tests.labels(chosen), recordings=tests.recordings(chosen))
    return figures_of(found, program.class_names)


def _told(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Accuracies by backend; of values their squared errors and signal-to-noise ratios."""
    names = ("accuracy",) if "accuracy" in figures["float"] else ("loss", "si_snr_db")
    return {what: {name: entry[what] for name, entry in figures.items()} for what in names}


def _backend_entry(verdict: Verdict, samples: Sequence[Sample], share: Sequence[int]) -> dict[str, Any]:
    events = sum(len(samples[index][1]) for index in share)
    kept = {key: value for key, value in asdict(verdict).items() if key not in ("saturations", "clipped_gaps")}
    return {**kept, "events": events, "events_per_s": round(events / max(verdict.seconds, 1e-9))}


def _counters(verdicts: Mapping[str, Verdict], what: str) -> dict[str, int]:
    """The counters of the first backend that saw all samples and counts."""
    return next((getattr(verdict, what) for verdict in verdicts.values() if verdict.saturations), {})


def _save(
    path: Path,
    program: Program,
    example: Sample,
    found: Mapping[str, NDArray[Any]],
) -> None:
    values, times = example
    drop = int(program.pairing == "next")
    running, _ = Simulator(program).step_many(values, times)
    arrays = {
        **found,
        "example_values": values[: len(times) - drop],
        "example_times": times[: len(times) - drop],
        "example_logits": running,
    }
    save_arrays(path, arrays, compress=True)


def _print(result: Mapping[str, Any], task: str) -> None:
    samples = result["backends"][result["oracle"]]["samples"]
    table = Table(title=f"parity on {samples} test samples of {task}: every backend against '{result['oracle']}'")
    classes = "accuracy" in result["accuracy"]["float"]
    for column in ("backend", "values", "differing", "accuracy (95 %)" if classes else "figures", "events/s"):
        table.add_column(column, justify="left" if column == "backend" else "right")
    table.add_row("float", "", "", _accuracy(result["accuracy"]["float"]), "")
    for name, entry in result["backends"].items():
        compared = [f"{entry['values']:,}", f"{entry['differing']:,}"] if name != result["oracle"] else ["oracle", ""]
        which = "shortest" if BACKENDS[name].slow else "first"
        label = name if entry["samples"] == samples else f"{name} ({which} {entry['samples']})"
        table.add_row(label, *compared, _accuracy(result["accuracy"][name]), f"{entry['events_per_s']:,}")
    for name in result["skipped"]:
        table.add_row(name, "", "SKIPPED", "", "")
    for name, figures in result["other_protocols"].items():
        table.add_row(f"{result['oracle']}, {name}", "", "", _accuracy(figures), "")
    console = Printer()
    console.print(table)
    for name, reason in result["skipped"].items():
        console.print(f"{name} SKIPPED: {reason}")
    paired = result["float_and_integer"]
    if classes:
        console.print(
            f"float right and integers wrong: {paired['only_a_right']}, the other way round: {paired['only_b_right']} "
            f"(McNemar's exact p = {paired['mcnemar_p']:.3g})"
        )
    else:
        console.print(f"integers against the float model: {paired['sqnr_db']} dB")
    for what in ("saturations", "clipped_gaps"):
        counts = {name: count for name, count in result[what].items() if count}
        listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        console.print(f"{what.replace('_', ' ')}: {listed or 'none'}")
    console.print(f"samples without a complete window: {result['incomplete']}")
    for note in result["notes"]:
        console.print(f"note: {note}", highlight=False)
    console.print(f"differing values: {result['differing']}")


def _accuracy(figures: Mapping[str, Any]) -> str:
    if "accuracy" not in figures:
        return value_text(figures)
    low, high = figures["accuracy_95"]
    return f"{figures['accuracy']:.2%} ({interval_text(low, high)})"
