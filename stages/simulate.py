"""The stage ``simulate``: is the program the same in every backend, bit for bit, and how good is it?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import nn

from ..api.backends import BACKENDS
from ..api.compare import compare
from ..api.frozen import padded_batch
from ..api.programs import load
from ..archives import load_arrays, save_arrays
from ..errors import ParityError, PumiceError
from ..export.lava import PARTS
from ..export.lava.runtime.progress import STEPS_BETWEEN
from ..files import write_json
from ..hw_sim.parity.compare import Verdict, describe
from ..hw_sim.parity.fidelity import signal_to_noise, spike_rates, state_bits, time_constants
from ..hw_sim.parity.health import health
from ..hw_sim.parity.paired import compare_decisions
from ..hw_sim.parity.ranges import ranges
from ..hw_sim.simulator import Simulator, run_stepwise
from ..program import Program, digest
from ..program.samples import Sample, shortest
from ..quantize.config import ARITHMETICS
from ..quantize.families import family_of
from ..quantize.weights import load_frozen
from ..train.data.base import TaskDataModule
from ..train.evaluate import Predictions, figures_of, interval_text, predict
from ..train.settings import SystemSettings, TrainingSettings, read_section
from ..train.weights import read_weights
from .build import apply_system, build_data, load_model
from .decisions import make_test_set, other_test_sets
from .folder import RunFolder
from .invariants import check_figures


@dataclass(frozen=True)
class SimulateSettings:
    """Section ``simulate``.

    Attributes:
        backends: what is compared, names of ``api.backends.BACKENDS``; the first is the oracle.
        samples: how many test samples a backend gets, by name: the first ones, of lava the shortest ones; None, or no
            entry, for all.
        traced: samples of which every node's output and state is compared.
        example: the test sample whose running decision is kept for the report.
        lava_parts: which processes make the Lava network, of ``export.lava.PARTS``.
        lava_timeout_s: when a Lava run is given up.
    """

    backends: list[str]
    samples: dict[str, int | None] = field(default_factory=dict)
    traced: int = 4
    example: int = 0
    lava_parts: str = "layers"
    lava_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.backends, *self.samples) if name not in BACKENDS]
        if unknown:
            raise PumiceError(f"simulate: backend {unknown[0]} is unknown; choose some of: {', '.join(BACKENDS)}")
        if len(self.backends) < 2 or len(set(self.backends)) < len(self.backends):
            raise PumiceError(f"simulate.backends={self.backends} needs two or more backends, each of them once")
        if self.samples.get(self.backends[0]) is not None:
            raise PumiceError(f"simulate.samples: {self.backends[0]} is the oracle and gets all samples")
        counts = {"traced": self.traced, **{f"samples.{name}": count for name, count in self.samples.items()}}
        for name, count in counts.items():
            if count is not None and count < 1:
                raise PumiceError(f"simulate.{name}={count} has to be at least 1")
        if self.lava_parts not in PARTS:
            raise PumiceError(f"simulate.lava_parts={self.lava_parts} is unknown; use one of: {', '.join(PARTS)}")
        if not self.lava_timeout_s > 0:
            raise PumiceError(f"simulate.lava_timeout_s={self.lava_timeout_s} has to be positive")
        if self.example < 0:
            raise PumiceError(f"simulate.example={self.example} has to be the number of a test sample, 0 or more")


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
    ``example_values``, ``example_times`` (L,) in us and ``example_logits`` (L, C) after each event.

    Raises:
        ParityError: a value differs; simulate.json says where.
    """
    settings = read_section(SimulateSettings, config, "simulate")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    data = build_data(config, read_section(TrainingSettings, config, "training"), system)
    program = load(folder.path / "program.npz")
    frozen, _ = load_frozen(folder.path / "quantized.safetensors")
    tests = make_test_set(config, data)
    samples, labels = tests.samples, tests.labels()
    if settings.example >= len(samples):
        raise PumiceError(f"simulate.example={settings.example}, but the test set has {len(samples)} samples")

    lava = {"parts": settings.lava_parts, "timeout_s": settings.lava_timeout_s, "progress": _tell_lava}
    shares = {name: share_of(name, samples, settings) for name in settings.backends}
    parity = compare(
        program,
        samples,
        settings.backends,
        traced=settings.traced,
        shares=shares,
        frozen=frozen,
        threads=system.threads,
        lava=lava,
    )
    verdicts, found, oracle = parity.verdicts, parity.traces, parity.oracle
    scores = {name: tests.scores(program, traces, shares[name]) for name, traces in found.items()}
    model = load_model(config, data, read_weights(folder.path / "weights.safetensors"))
    floats = _float_logits(folder.path / "predictions.npz", labels, model, data)
    rates = spike_rates(program, samples, system.threads)
    looks = health(program, samples, _counters(verdicts, "saturations"), rates, scores[oracle])
    result = {
        "program": digest(program),
        "class_names": list(program.class_names),
        "events": sum(len(times) for _, times in samples),
        "differing": parity.differing,
        "oracle": oracle,
        "backends": {name: _backend_entry(verdict, samples, shares[name]) for name, verdict in verdicts.items()},
        "skipped": dict(parity.skipped),
        "accuracy": {
            "float": figures_of(Predictions(floats, labels), program.class_names),
            **{name: _figures(program, scores[name], tests.labels(shares[name])) for name in verdicts},
        },
        "other_protocols": {
            name: _figures(program, other.scores(program, found[oracle]), other.labels())
            for name, other in other_test_sets(config, data).items()
        },
        "float_and_integer": asdict(compare_decisions(floats.argmax(1), scores[oracle].argmax(1), labels)),
        "saturations": _counters(verdicts, "saturations"),
        "clipped_gaps": _counters(verdicts, "clipped_gaps"),
        "incomplete": verdicts[oracle].incomplete,
        **_inside(program, samples[: settings.traced], model),
        "spike_rates": rates,
        "health": asdict(looks),
        "notes": looks.lines(),
        "example": {
            "sample": settings.example,
            "label": _only(tests.labels([settings.example])),
            "logits_frac": program[program.logits].output.frac,
        },
    }
    logits = {name: np.stack([trace.logits for trace in traces]) for name, traces in found.items()}
    arrays = {"labels": labels, "float": floats, "scores": scores[oracle], **logits}
    arrays |= {f"{name}_samples": np.array(shares[name]) for name in found if shares[name] != _first(len(shares[name]))}
    _save(folder.path / "simulate.npz", program, samples[settings.example], arrays)
    check_figures(result["accuracy"])
    write_json(folder.path / "simulate.json", result)
    _print(result, data.task.name)
    if result["differing"]:
        name, first = next((name, each.first) for name, each in verdicts.items() if each.first is not None)
        raise ParityError(
            f"{result['differing']:,} values differ between backends; {name} against {oracle}: {describe(first)}; "
            f"please report this with {folder.path / 'simulate.json'} and program.npz"
        )
    return {key: result[key] for key in ("differing", "program", "float_and_integer", "incomplete", "skipped")} | {
        "accuracy": {name: entry["accuracy"] for name, entry in result["accuracy"].items()},
        "events_per_s": {name: entry["events_per_s"] for name, entry in result["backends"].items()},
    }


def _tell_lava(step: int, steps: int) -> None:
    if sys.stdout.isatty():
        print(f"\r  lava: step {step:,} of {steps:,}", end="\r" if steps - step < STEPS_BETWEEN else "", flush=True)


def share_of(name: str, samples: Sequence[Sample], settings: SimulateSettings) -> list[int]:
    """The numbers of the test samples that a backend gets, ascending."""
    count = settings.samples.get(name)
    if count is None or count >= len(samples):
        return _first(len(samples))
    return shortest(samples, count) if BACKENDS[name].slow else _first(count)


def _first(count: int) -> list[int]:
    return list(range(count))


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


def _float_logits(
    source: Path, labels: NDArray[np.int64], model: nn.Module, data: TaskDataModule
) -> NDArray[np.float64]:
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


def _figures(program: Program, scores: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, Any]:
    return figures_of(Predictions(scores, labels), program.class_names)


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
    for column in ("backend", "values", "differing", "accuracy (95 %)", "events/s"):
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
    console = Console()
    console.print(table)
    for name, reason in result["skipped"].items():
        console.print(f"{name} SKIPPED: {reason}", soft_wrap=True)
    paired = result["float_and_integer"]
    console.print(
        f"float right and integers wrong: {paired['only_a_right']}, the other way round: {paired['only_b_right']} "
        f"(McNemar's exact p = {paired['mcnemar_p']:.3g})"
    )
    for what in ("saturations", "clipped_gaps"):
        counts = {name: count for name, count in result[what].items() if count}
        listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        console.print(f"{what.replace('_', ' ')}: {listed or 'none'}")
    console.print(f"samples without a complete window: {result['incomplete']}")
    for note in result["notes"]:
        console.print(f"note: {note}", soft_wrap=True, highlight=False)
    console.print(f"differing values: {result['differing']}")


def _accuracy(figures: Mapping[str, Any]) -> str:
    low, high = figures["accuracy_95"]
    return f"{figures['accuracy']:.2%} ({interval_text(low, high)})"
