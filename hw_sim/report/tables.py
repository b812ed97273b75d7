"""The tables of a report as rows, each with a head; what has not run leaves the head alone, or empty cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Data = Mapping[str, Any]
Rows = list[list[Any]]

ACCURACY = ("model", "accuracy", "low", "high", "samples", "correct", "lost", "won", "mcnemar_p", "sqnr_db")
PARITY = ("samples", "values", "differing", "traced", "events_per_s")
LAYERS = {
    "operations": ("dense", "mac", "ac", "other", "decays"),
    "energy": ("compute_low", "compute_high", "memory_low", "memory_high"),
    "memory": ("weights", "state"),
}
NODES = ("name", "type", "output", "channels", "rate", "sqnr_db", "state_sqnr_db", "saturations", "clipped_gaps")


def accuracy(data: Data) -> Rows:
    """A row a model, by every protocol."""
    others = [
        {"model": f"{model}, {row['protocol']}", **row[model]}
        for row in data["protocols"]
        for model in ("float", "integer")
        if row[model] is not None
    ]
    return [list(ACCURACY), *([row.get(key) for key in ACCURACY] for row in (*data["accuracy"], *others))]


def parity(data: Data) -> Rows:
    """A row a backend, those that were left out as well."""
    backends, skipped = (data["parity"][key] if data["parity"] else {} for key in ("backends", "skipped"))
    return [
        ["backend", *PARITY, "skipped"],
        *([name, *(entry[key] for key in PARITY), None] for name, entry in backends.items()),
        *([name, *(None for _ in PARITY), reason] for name, reason in skipped.items()),
    ]


def layers(data: Data) -> Rows:
    """A row a part of the network: operations, energy and memory of an event, and how often its neurons spike."""
    parts = {name: (data[name] or {}).get("layers", {}) for name in LAYERS}
    rates = data["spike_rates"]["layers"] if data["spike_rates"] else {}
    columns = [(part, key) for part, keys in LAYERS.items() for key in keys]
    found = dict.fromkeys(name for part in parts.values() for name in part)
    return [
        ["layer", *(f"{part}_{key}" for part, key in columns), "spike_rate"],
        *([name, *(parts[part].get(name, {}).get(key) for part, key in columns), rates.get(name)] for name in found),
    ]


def nodes(data: Data) -> Rows:
    """A row a node."""
    return [list(NODES), *([row[key] for key in NODES] for row in data["nodes"] or ())]


def time_constants(data: Data) -> Rows:
    """A row a mode or neuron."""
    times = data["time_constants"] or {"unit": "ms", "values": {}}
    return [
        ["node", "mode", times["unit"]],
        *([name, mode, value] for name, values in times["values"].items() for mode, value in enumerate(values)),
    ]


def confusion(data: Data) -> Rows:
    """A row a true class."""
    found = data["confusion"] or {"classes": [], "rows": []}
    return [
        ["true class", *found["classes"]],
        *([name, *row] for name, row in zip(found["classes"], found["rows"], strict=True)),
    ]


CURVES = ("epoch", "train_loss", "loss", "accuracy", "rate")


def curves(data: Data) -> Rows:
    """A row an epoch of training and of fine-tuning."""
    rows = [[entry["phase"], *(epoch[key] for key in CURVES)] for entry in data["curves"] for epoch in entry["epochs"]]
    return [["phase", *CURVES], *rows]


def early(data: Data) -> Rows:
    """A row a part of a recording that was heard."""
    found = data["early"] or {"shares": (), "integer": ()}
    floats = found.get("float") or [None] * len(found["shares"])
    return [["heard", "integer", "float"], *map(list, zip(found["shares"], found["integer"], floats, strict=True))]


SENSITIVITY = (
    "place", "layer", "width", "kind", "from", "to", "kl", "sqnr_db", "same_class", "correct",
    "saved_bytes", "saved_state_bytes", "saved_bit_operations", "refused",
)  # fmt: skip


def sensitivity(data: Data) -> Rows:
    """A row a width that was lowered alone, from the least harm to the most."""
    entries = (data["sensitivity"] or {"entries": ()})["entries"]
    return [list(SENSITIVITY), *([entry[key] for key in SENSITIVITY] for entry in entries)]


SEARCH = ("point", "bytes", "state_bytes", "bit_operations", "energy_nj", "kl", "sqnr_db", "same_class", "correct")


def search(data: Data) -> Rows:
    """A row a point of the Pareto set of a search, by rising bytes."""
    return [list(SEARCH), *([point[key] for key in SEARCH] for point in (data["search"] or {"front": ()})["front"])]


def chips(data: Data) -> Rows:
    """A row a chip: whether the program fits, on how many cores, and what stands against it."""
    rows = [[row["chip"], row["fits"], row["cores"], "; ".join(row["against"])] for row in data["chips"] or ()]
    return [["chip", "fits", "cores", "against"], *rows]


DIFFERING = ("decision", "label", "float", "float_share", "integer", "integer_share", "right")


def differing(data: Data) -> Rows:
    """A row a decision on which float and integers differ, the first of them."""
    rows = (data["disagreements"] or {"rows": ()})["rows"]
    return [list(DIFFERING), *([row[key] for key in DIFFERING] for row in rows)]


TABLES: dict[str, Callable[[Data], Rows]] = {
    "accuracy": accuracy,
    "curves": curves,
    "early": early,
    "parity": parity,
    "layers": layers,
    "nodes": nodes,
    "time-constants": time_constants,
    "confusion": confusion,
    "chips": chips,
    "differing": differing,
    "sensitivity": sensitivity,
    "search": search,
}
"""By the names of the report's CSV files."""
