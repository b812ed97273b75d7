"""What a run folder knows, as plain data. What has not run is None, never a number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import PumiceError
from ...files import read_json
from ...program import Program, load
from ...records import StageRecord, read_records
from ..counts import floating
from ..inspection import inspect
from ..parity.paired import exact_p
from . import STAGE, clocked, curves, disagreements, early, formats, widths
from .names import layer_of
from .provenance import artifacts, command, finished_at

INTEGER_BACKENDS = ("run", "step", "reference")
"""Where the accuracy of the integers is taken from: the first of these that saw all samples."""


def collect(folder: Path, stages: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that the report of the run in ``folder`` shows, as JSON data.

    Args:
        folder: of the run.
        stages: that a run like this can go through; those that have not finished are shown so.

    Raises:
        PumiceError: the folder holds no run, or a file in it is damaged.
    """
    known = {name: record for name, record in read_records(folder).items() if record.finished and name != STAGE}
    records = {name: known[name] for name in dict.fromkeys((*stages, *known)) if name in known}
    if not records:
        raise PumiceError(f"{folder} holds no finished stage; name the folder of a run (pumice run run_dir=...)")
    program = load(folder / "program.npz") if (folder / "program.npz").is_file() else None
    is_clocked = None if program is None else program.clocked
    inspected = None if program is None else inspect(program)
    simulated = _of_program(folder / "simulate.json", inspected)
    exported = _of_program(folder / "onnx" / "export.json", inspected)
    counted = _of_program(folder / "counts.json", inspected)
    figures = {name: record.figures for name, record in records.items()}
    provenance, errors = _provenance(folder, records, inspected), clocked.errors(figures, simulated)
    return {
        "title": _title(folder),
        "clocked": is_clocked,
        "by_step": is_clocked or (simulated is not None and _decides_by_step(simulated)),
        "quantizable": program is not None or not (errors or clocked.is_baseline(provenance["settings"])),
        "stages": {name: _stage(records.get(name)) for name in dict.fromkeys((*stages, *records))},
        "accuracy": accuracy_rows(figures, simulated, exported),
        "choice": figures.get("quantize", {}).get("choice", {}).get("why"),
        "curves": curves.curves(folder, figures),
        "protocols": clocked.protocols(figures, simulated),
        "errors": errors,
        "parity": _parity(simulated),
        "early": early.early(simulated),
        "looked": simulated and {key: simulated[key] for key in ("mistakes", "class_names") if key in simulated},
        "speed": early.speed(simulated),
        "notes": (simulated or figures.get("quantize") or {}).get("notes", []),
        "onnx": exported and {name: exported[name] for name in ("sequence", "step", "qdq", "float", "onnxruntime")},
        "operations": None if counted is None else _operations(counted),
        "neurobench": None if counted is None else clocked.neurobench_rows(counted),
        "spike_rates": clocked.spike_rates(simulated, counted),
        "energy": None if counted is None else _energy(counted),
        "memory": None if program is None else _memory(program),
        "c": _as_c(figures.get("export-c"), inspected),
        "chips": None if counted is None else counted.get("chips"),
        "nodes": None if program is None or inspected is None else _nodes(program, inspected, simulated),
        "formats": None if program is None else formats.formats(program, simulated),
        "states": None if simulated is None else simulated["state_bits"],
        "time_constants": None if simulated is None else _time_constants(simulated, is_clocked),
        "confusion": _confusion(figures, simulated, program),
        "names": simulated and simulated["class_names"],
        "ranges": None if program is None or simulated is None else _ranges(program, simulated),
        "disagreements": _disagreements(folder, simulated),
        "example": None if simulated is None else simulated["example"],
        "sensitivity": widths.sensitivity(folder, "sensitivity" in records),
        "search": widths.search(folder, "search" in records),
        "imported": figures.get("train", {}).get("imported"),
        "provenance": {
            **provenance,
            "artifacts": artifacts(folder, records),
            "command": command(folder),
            "finished_at": finished_at(records),
        },
    }


def accuracy_rows(
    figures: Mapping[str, Any], simulated: Mapping[str, Any] | None, exported: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """One row a model, from float to the integers; only its name where it has not run."""
    quantized, evaluated = figures.get("quantize", {}), figures.get("evaluate", {})
    entries = simulated["accuracy"] if simulated else {}
    total = entries["float"]["samples"] if entries else 0
    integer = next((name for name in INTEGER_BACKENDS if entries.get(name, {}).get("samples") == total), None)
    rows = [
        _row("float", "float", entries.get("float") or evaluated.get("test")),
        _row("ptq", "calibrated", quantized.get("ptq", {}).get("test")),
        _row("qat", "fine-tuned", quantized.get("qat", {}).get("test")),
        _row("integer", "integer, simulator", entries.get(integer)),
        _row("onnxruntime", "integer, onnxruntime", exported and exported["sequence"]),
    ]
    if simulated and integer:
        paired = simulated["float_and_integer"]
        if "mcnemar_p" not in paired:
            return rows
        against = {"lost": paired["only_a_right"], "won": paired["only_b_right"], "mcnemar_p": paired["mcnemar_p"]}
        rows[3] |= against
        if exported and exported["sequence"]["differing"] == 0 and exported["sequence"]["samples"] == total:
            rows[4] |= against  # the same logits, so the same decisions
    return rows


def _decides_by_step(simulated: Mapping[str, Any]) -> bool:
    """Whether decisions are more than the test samples."""
    return simulated["accuracy"]["float"]["samples"] != simulated["backends"][simulated["oracle"]]["samples"]


def _row(name: str, label: str, entry: Mapping[str, Any] | None) -> dict[str, Any]:
    row: dict[str, Any] = {"model": name, "label": label, "accuracy": None}
    if entry is None or "accuracy" not in entry:  # not run, or no classifier
        return row
    low, high = entry["accuracy_95"]
    row |= {key: entry[key] for key in ("accuracy", "samples", "correct", "loss")} | {"low": low, "high": high}
    if "only_float_right" in entry:
        lost, won = entry["only_float_right"], entry["only_integer_right"]
        row |= {"lost": lost, "won": won, "mcnemar_p": exact_p(lost, won), "sqnr_db": entry["sqnr_db"]}
        row["same"] = entry["same_class"] / entry["samples"]
    return row


def _stage(record: StageRecord | None) -> dict[str, Any] | None:
    return None if record is None else {"seconds": record.seconds}


def _of_program(source: Path, inspected: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A result that belongs to the program at hand; one of an older program counts as not run."""
    if inspected is None or not source.is_file():
        return None
    result = read_json(source)
    return result if result["program"] == inspected["digest"] else None


def _as_c(figures: Mapping[str, Any] | None, inspected: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Flash and RAM of the C program, and of machines that it was compiled for; None where it was not written."""
    if figures is None or inspected is None or figures["program"] != inspected["digest"]:
        return None
    return {key: figures[key] for key in ("constants_bytes", "state_bytes", "known_answers", "targets")}


def _title(folder: Path) -> str:
    resolved = folder.resolve()
    return f"{resolved.parent.name}/{resolved.name}"


def _parity(simulated: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if simulated is None:
        return None
    oracle, backends = simulated["oracle"], simulated["backends"]
    keys = ("differing", "oracle", "events", "incomplete", "traced")
    return {key: simulated[key] for key in keys} | {
        "backends": {oracle: backends[oracle], **backends},
        "skipped": simulated.get("skipped", {}),
    }


def _disagreements(folder: Path, simulated: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if simulated is not None and "mcnemar_p" not in simulated["float_and_integer"]:
        return None  # values
    found = disagreements.decisions(folder, simulated)
    return None if simulated is None else disagreements.listed(found, simulated["class_names"])


def _ranges(program: Program, simulated: Mapping[str, Any]) -> dict[str, Any] | None:
    """By node in the program's order; None of results that do not know them."""
    found, order = simulated.get("ranges", {}), [node.name for node in program]
    return {name: found[name] for name in sorted(found, key=lambda name: order.index(name.partition(":")[0]))} or None


def _time_constants(simulated: Mapping[str, Any], clocked: bool | None) -> dict[str, Any]:
    """By node and mode in ms; of clocked networks by neuron, in steps."""
    unit = "steps" if clocked else "ms"
    return {"unit": unit, "values": simulated[f"time_constants_{unit}"]}


def _operations(counted: Mapping[str, Any]) -> dict[str, Any]:
    """Per event: by layer (products left after skipping zeros, dense products, all else) and in total."""
    events = max(counted["integer"]["events"], 1)
    layers: dict[str, dict[str, float]] = {}
    for node in counted["integer"]["nodes"]:
        entry = layers.setdefault(layer_of(node["name"]), dict.fromkeys(("dense", "mac", "ac", "other", "decays"), 0.0))
        for item in node["operations"]:
            if item["kind"] == "mac":
                entry["dense"] += item["dense"] / events
                entry["mac"] += (item["effective"] - item["accumulate"]) / events
                entry["ac"] += item["accumulate"] / events
            elif item["kind"] != "gather":
                entry["other"] += item["effective"] / events
        entry["decays"] += node["digit_steps"] / events
    return {
        "samples": counted["samples"],
        "events": counted["integer"]["events"],
        "layers": {name: entry for name, entry in layers.items() if any(entry.values())},
        "integer": counted["integer"]["per_event"],
        "float32": counted["float32"]["per_event"],
        "per_sample": counted["integer"]["per_sample"],
        "bit_operations": bit_operations(counted["integer"]),
    }


def bit_operations(counts: Mapping[str, Any]) -> float:
    """Products left after skipping zeros, each weighed by the widths of its operands; a mean an event."""
    total = 0
    for node in counts["nodes"]:
        for item in node["operations"]:
            if item["kind"] in ("mac", "multiply"):
                total += item["effective"] * item["widths"][0] * item["widths"][1]
    return total / max(counts["events"], 1)


def _energy(counted: Mapping[str, Any]) -> dict[str, Any]:
    priced = {name: counted["energy"][name] for name in ("integer", "float32") if name in counted["energy"]}
    integer = priced["integer"]
    events = max(integer["events"], 1)
    layers: dict[str, dict[str, float]] = {}
    for node in integer["nodes"]:
        entry = layers.setdefault(
            layer_of(node["name"]), dict.fromkeys(("compute_low", "compute_high", "memory_low", "memory_high"), 0.0)
        )
        for bound in ("low", "high"):
            entry[f"compute_{bound}"] += node["compute"][bound] / events
            entry[f"memory_{bound}"] += sum(part[bound] for part in node["memory"].values()) / events
    return {
        "profile": counted["profile"],
        "placement": integer["placement"],
        "unpriced": {name: number / events for name, number in integer["unpriced"].items()},
        "layers": {name: entry for name, entry in layers.items() if any(entry.values())},
        "per_event_pj": {name: entry["per_event"] for name, entry in priced.items()},
        "per_sample_pj": {name: entry["per_sample"] for name, entry in priced.items()},
    }


def _memory(program: Program) -> dict[str, Any]:
    """Bytes of parameters and state by layer, as docs/op_counts.md counts them; and those of the float model."""
    layers: dict[str, dict[str, float]] = {}
    totals = {"integer": {"weights": 0.0, "state": 0.0}, "float32": {"weights": 0.0, "state": 0.0}}
    for node in program:
        integer = {"weights": node.parameter_bits / 8, "state": node.state_bits / 8}
        real = {"weights": floating.parameter_bits(node) / 8, "state": floating.state_bits(node) / 8}
        entry = layers.setdefault(layer_of(node.name), {"weights": 0.0, "state": 0.0})
        for sums, own in ((entry, integer), (totals["integer"], integer), (totals["float32"], real)):
            for what, size in own.items():
                sums[what] += size
    found = {name: entry for name, entry in layers.items() if any(entry.values())}
    return {"layers": found, "map": formats.memory_map(program), **totals}


def _nodes(program: Program, inspected: Mapping[str, Any], simulated: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    rows = []
    for node, about in zip(program, inspected["nodes"], strict=True):
        row = {key: about[key] for key in ("name", "type", "output", "channels", "rate")} | {
            "layer": layer_of(node.name)
        }
        row |= {key: None for key in ("sqnr_db", "state_sqnr_db", "saturations", "clipped_gaps")}
        if simulated is not None:
            row["sqnr_db"] = simulated["sqnr_db"].get(node.name)
            row["state_sqnr_db"] = simulated["sqnr_db"].get(f"{node.name}:state")
            row["saturations"] = simulated["saturations"].get(node.name)
            row["clipped_gaps"] = simulated["clipped_gaps"].get(node.name)
        rows.append(row)
    return rows


def _confusion(
    figures: Mapping[str, Any], simulated: Mapping[str, Any] | None, program: Program | None
) -> dict[str, Any] | None:
    """Of the integers where they ran, else of the float model; classes by number where no program names them."""
    if simulated is not None:
        name = next((name for name in INTEGER_BACKENDS if name in simulated["accuracy"]), simulated["oracle"])
        if "confusion" not in simulated["accuracy"][name]:
            return None
        return {"of": "integer program", "classes": simulated["class_names"], **_matrix(simulated["accuracy"][name])}
    if "confusion" not in figures.get("evaluate", {}).get("test", {}):
        return None
    matrix = _matrix(figures["evaluate"]["test"])
    names = [str(index) for index in range(len(matrix["rows"]))] if program is None else list(program.class_names)
    return {"of": "float model", "classes": names, **matrix}


def _matrix(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"rows": entry["confusion"]}


def _provenance(
    folder: Path, records: Mapping[str, StageRecord], inspected: Mapping[str, Any] | None
) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for record in records.values():
        settings |= record.settings
    files = {name: digest for record in records.values() for name, digest in record.outputs.items()}
    return {
        "versions": list(records.values())[-1].versions,
        "settings": json.loads(json.dumps(settings)),
        "files_sha256": files,
        "program_digest": inspected and inspected["digest"],
        "method": inspected and inspected["provenance"].get("method"),
    }
