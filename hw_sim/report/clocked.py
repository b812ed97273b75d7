"""What a report shows of clocked networks alone, and of tasks that are judged in more than one way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .names import layer_of

OUTSIDE = ("state_updates", "multiplies", "adds", "rounds", "comparisons", "resets")
"""What is counted of a clocked network and lies outside NeuroBench's definitions, by the names of ``Counts.totals``."""


def spike_rates(simulated: Mapping[str, Any] | None, counted: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Spikes a neuron and step by layer: of the whole test set where it was simulated, else of the counted samples."""
    sources = {
        "all test samples": (simulated or {}).get("spike_rates"),
        "the counted samples": counted and counted["integer"]["spike_rates"],
    }
    for of, found in sources.items():
        if found:
            return {"of": of, "layers": {layer_of(name): rate for name, rate in found.items()}}
    return None


def neurobench_rows(counted: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Our counts a sample beside NeuroBench's; None in its column lies outside its definitions."""
    theirs = counted.get("neurobench")
    if theirs is None:
        return None
    ours, spiking = counted["integer"]["per_sample"], [n for n in counted["integer"]["nodes"] if n["spiking"]]
    outputs = sum(node["outputs"] for node in spiking)
    zeros = sum(node["zero_outputs"] for node in spiking)
    rows = [
        ("effective_macs", ours["effective_macs"], theirs["Effective_MACs"]),
        ("effective_acs", ours["effective_acs"], theirs["Effective_ACs"]),
        ("dense", ours["dense_macs"], theirs["Dense"]),
        ("activation_sparsity", zeros / outputs if outputs else 0.0, theirs["ActivationSparsity"]),
        *((name, ours[name], None) for name in OUTSIDE),
    ]
    return [{"what": what, "pumice": mine, "neurobench": other} for what, mine, other in rows]


def protocols(figures: Mapping[str, Any], simulated: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Accuracy by the task's other protocols, a row each: of the float model and of the integers, None if not run."""
    floats = figures.get("evaluate", {}).get("other_protocols", {})
    integers = (simulated or {}).get("other_protocols", {})
    rows = []
    for name in dict.fromkeys((*floats, *integers)):
        entries = {"float": floats.get(name, {}).get("test"), "integer": integers.get(name)}
        rows.append({"protocol": name} | {key: _share(entry) for key, entry in entries.items()})
    return rows


def _share(entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    low, high = entry["accuracy_95"]
    return {key: entry[key] for key in ("accuracy", "samples", "correct")} | {"low": low, "high": high}


BY_VALUE = "loss_by_value"


def errors(figures: Mapping[str, Any], simulated: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Mean squared errors on the test set of a float model that predicts values, and under ``models`` that of each
    model, the program's included; None of a classifier.
    """
    test = figures.get("evaluate", {}).get("test", {})
    if not test or "accuracy" in test:
        return None
    found: dict[str, Any] = {key: value for key, value in test.items() if key.startswith("loss") and key != BY_VALUE}
    if "si_snr_db" in test:
        quantized = figures.get("quantize", {})
        entries = {"float": test} | {name: quantized.get(name, {}).get("test") for name in ("ptq", "qat")}
        if simulated is not None:
            entries["integer"] = {**simulated["accuracy"][simulated["oracle"]], **simulated["float_and_integer"]}
        keys = ("loss", "si_snr_db", "sqnr_db", "samples")
        found["models"] = {name: {key: entry.get(key) for key in keys} for name, entry in entries.items() if entry}
        found[BY_VALUE] = test[BY_VALUE]
    return found


def is_baseline(settings: Mapping[str, Any]) -> bool:
    """Whether the model is the LSTM that spiking networks are compared with; no program is made of it."""
    return settings.get("model", {}).get("cell") == "lstm"
