"""The stage ``simulate``: is the program the same in every backend, bit for bit, and how good is it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from .cli_backends import NAMES, Remembering, make_backend, padded_batch
from .errors import PumiceError
from .files import atomic_path, write_json
from .hw_sim.arrays import load_arrays
from .hw_sim.compare import Verdict, compare, describe
from .hw_sim.fidelity import signal_to_noise, state_bits, time_constants
from .hw_sim.paired import compare_decisions
from .hw_sim.reference import Sample
from .hw_sim.simulator import Simulator, run_stepwise
from .quantize.fidelity import float_values
from .quantize.program import Program, digest, load
from .quantize.weights import load_frozen
from .train.build import apply_system, build_data, build_model
from .train.data.datamodule import EventDataModule
from .train.data.tokens import TOKENS
from .train.evaluate import Predictions, figures_of
from .train.run_folder import RunFolder
from .train.settings import SystemSettings, TrainingSettings, read_section
from .train.weights import load_weights


class ParityError(PumiceError):
    """Backends disagree: no mistake of the user."""

    exit_code = 1


@dataclass(frozen=True)
class SimulateSettings:
    """Section ``simulate``.

    Attributes:
        backends: what is compared, names of ``cli_backends.NAMES``; the first is the oracle.
        samples: how many test samples a backend gets, the first ones, by name; None, or no entry, for all.
        traced: samples of which every node's output and state is compared.
        example: the test sample whose running decision is kept for the report.
    """

    backends: list[str]
    samples: dict[str, int | None] = field(default_factory=dict)
    traced: int = 4
    example: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.backends, *self.samples) if name not in NAMES]
        if unknown:
            raise PumiceError(f"simulate: backend {unknown[0]} is unknown; choose some of: {', '.join(NAMES)}")
        if len(self.backends) < 2 or len(set(self.backends)) < len(self.backends):
            raise PumiceError(f"simulate.backends={self.backends} needs two or more backends, each of them once")
        if self.samples.get(self.backends[0]) is not None:
            raise PumiceError(f"simulate.samples: {self.backends[0]} is the oracle and gets all samples")
        counts = {"traced": self.traced, **{f"samples.{name}": count for name, count in self.samples.items()}}
        for name, count in counts.items():
            if count is not None and count < 1:
                raise PumiceError(f"simulate.{name}={count} has to be at least 1")
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

    ``simulate.npz`` holds ``labels`` (N,), ``float`` and every backend's ``<name>`` logits (samples, C), and of one
    sample ``example_values``, ``example_times`` (L,) in us and ``example_logits`` (L, C) after each event.

    Raises:
        ParityError: a value differs; simulate.json says where.
    """
    settings = read_section(SimulateSettings, config, "simulate")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    data = build_data(config, read_section(TrainingSettings, config, "training"), system)
    program = load(folder.path / "program.npz")
    frozen, _ = load_frozen(folder.path / "quantized.safetensors")
    samples, labels = test_samples(data)
    if settings.example >= len(samples):
        raise PumiceError(f"simulate.example={settings.example}, but the test set has {len(samples)} samples")

    backends = {name: Remembering(make_backend(name, frozen, system.threads)) for name in settings.backends}
    verdicts = compare_backends(program, samples, backends, settings)
    logits = {
        name: np.stack([trace.logits for trace in backend(program, samples[: verdicts[name].samples], False)])
        for name, backend in backends.items()
    }
    oracle = settings.backends[0]
    floats = _float_logits(folder.path / "predictions.npz", labels)
    result = {
        "program": digest(program),
        "class_names": list(program.class_names),
        "events": sum(len(times) for _, times in samples),
        "differing": sum(verdict.differing for verdict in verdicts.values()),
        "oracle": oracle,
        "backends": {name: _backend_entry(verdict, samples) for name, verdict in verdicts.items()},
        "accuracy": {
            "float": figures_of(Predictions(floats, labels), program.class_names),
            **{name: _figures(program, logits[name], labels) for name in backends},
        },
        "float_and_integer": asdict(compare_decisions(floats.argmax(1), logits[oracle].argmax(1), labels)),
        "saturations": _counters(verdicts, "saturations"),
        "clipped_gaps": _counters(verdicts, "clipped_gaps"),
        "incomplete": verdicts[oracle].incomplete,
        **_inside(program, samples[: settings.traced], config, data, folder.path),
        "example": {
            "sample": settings.example,
            "label": int(labels[settings.example]),
            "logits_frac": program[program.logits].output.frac,
        },
    }
    _save(folder.path / "simulate.npz", program, samples[settings.example], {"float": floats, **logits}, labels)
    write_json(folder.path / "simulate.json", result)
    _print(result, data.task.name)
    if result["differing"]:
        first = next(verdict for verdict in verdicts.values() if verdict.first is not None)
        raise ParityError(
            f"{result['differing']:,} values differ between backends; {first.backend} against {oracle}: "
            f"{describe(first.first)}; please report this with {folder.path / 'simulate.json'} and program.npz"
        )
    return {key: result[key] for key in ("differing", "program", "float_and_integer", "incomplete")} | {
        "accuracy": {name: entry["accuracy"] for name, entry in result["accuracy"].items()},
        "events_per_s": {name: entry["events_per_s"] for name, entry in result["backends"].items()},
    }


def test_samples(data: EventDataModule) -> tuple[list[Sample], NDArray[np.int64]]:
    """The test set as programs take it, tokens and times, cropped as evaluation crops; and its labels (N,)."""
    task = data.task
    to_tokens = TOKENS[task.token][0]
    samples = []
    for events, _ in data.test_dataset:
        events = events[: task.max_events]
        samples.append((to_tokens(events, task.sensor), events["t"].astype(np.int64)))
    return samples, data.test_dataset.labels


def compare_backends(
    program: Program, samples: Sequence[Sample], backends: Mapping[str, Remembering], settings: SimulateSettings
) -> dict[str, Verdict]:
    """Every backend against the first, each on its own share of the samples."""
    oracle, verdicts = settings.backends[0], {}
    for name in settings.backends:  # compile and build outside the measured time
        backends[name].warm_up(program, samples[:1])
    for name in settings.backends[1:]:
        share = samples[: settings.samples.get(name)]
        pair = {oracle: backends[oracle], name: backends[name]}
        comparison = compare(program, share, pair, traced=min(settings.traced, len(share)))
        if oracle not in verdicts or comparison.oracle.samples > verdicts[oracle].samples:
            verdicts[oracle] = comparison.oracle
        verdicts[name] = comparison.verdicts[0]
    if verdicts[oracle].samples < len(samples):
        verdicts[oracle] = compare(program, samples, {oracle: backends[oracle]}, traced=0).oracle
    for name, verdict in verdicts.items():
        verdict.seconds = backends[name].seconds
    return {name: verdicts[name] for name in settings.backends}


def _inside(
    program: Program,
    samples: Sequence[Sample],
    config: Mapping[str, Any],
    data: EventDataModule,
    folder: Path,
) -> dict[str, Any]:
    """What the traced samples show: noise by node, the states' bits; and the program's time constants."""
    model = build_model(config, data)
    load_weights(folder / "weights.safetensors", model)
    traces = run_stepwise(program, samples, trace=True)
    values = []
    for sample in samples:
        tokens, dt, lengths, pool_dt = padded_batch([sample], program.pairing)
        values.append(float_values(model, program, tokens, dt, lengths, pool_dt))
    return {
        "traced": len(samples),
        "sqnr_db": signal_to_noise(program, traces, values),
        "state_bits": state_bits(program, traces),
        "time_constants_ms": time_constants(program),
    }


def _float_logits(source: Path, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    arrays = load_arrays(source, "evaluate")
    if not {"test_logits", "test_labels"} <= set(arrays):
        raise PumiceError(f"{source} holds no predictions of the test set; write it anew with redo=[evaluate]")
    floats, seen = arrays["test_logits"].astype(np.float64), arrays["test_labels"]
    if not np.array_equal(seen, labels):
        raise PumiceError(f"{source} belongs to another test set; write it anew with redo=[evaluate]")
    return floats


def _figures(program: Program, logits: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, Any]:
    scaled = logits * 2.0 ** -program[program.logits].output.frac
    return figures_of(Predictions(scaled, labels[: len(logits)]), program.class_names)


def _backend_entry(verdict: Verdict, samples: Sequence[Sample]) -> dict[str, Any]:
    events = sum(len(times) for _, times in samples[: verdict.samples])
    kept = {key: value for key, value in asdict(verdict).items() if key not in ("saturations", "clipped_gaps")}
    return {**kept, "events": events, "events_per_s": round(events / max(verdict.seconds, 1e-9))}


def _counters(verdicts: Mapping[str, Verdict], what: str) -> dict[str, int]:
    """The counters of the first backend that saw all samples and counts."""
    return next((getattr(verdict, what) for verdict in verdicts.values() if verdict.saturations), {})


def _save(
    path: Path,
    program: Program,
    example: Sample,
    logits: Mapping[str, NDArray[np.generic]],
    labels: NDArray[np.int64],
) -> None:
    values, times = example
    drop = int(program.pairing == "next")
    running, _ = Simulator(program).step_many(values, times)
    arrays = {
        **logits,
        "labels": labels,
        "example_values": values[: len(times) - drop],
        "example_times": times[: len(times) - drop],
        "example_logits": running,
    }
    with atomic_path(path) as target:
        np.savez_compressed(target, **arrays)


def _print(result: Mapping[str, Any], task: str) -> None:
    samples = result["accuracy"]["float"]["samples"]
    table = Table(title=f"parity on {samples} test samples of {task}: every backend against '{result['oracle']}'")
    for column in ("backend", "values", "differing", "accuracy (95 %)", "events/s"):
        table.add_column(column, justify="left" if column == "backend" else "right")
    table.add_row("float", "", "", _accuracy(result["accuracy"]["float"]), "")
    for name, entry in result["backends"].items():
        compared = [f"{entry['values']:,}", f"{entry['differing']:,}"] if name != result["oracle"] else ["oracle", ""]
        label = name if entry["samples"] == samples else f"{name} (first {entry['samples']})"
        table.add_row(label, *compared, _accuracy(result["accuracy"][name]), f"{entry['events_per_s']:,}")
    console = Console()
    console.print(table)
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
    console.print(f"differing values: {result['differing']}")


def _accuracy(figures: Mapping[str, Any]) -> str:
    low, high = figures["accuracy_95"]
    return f"{figures['accuracy']:.2%} ({low:.1%} to {high:.1%})"
