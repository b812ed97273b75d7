"""What a report shows of widths that were tried: each alone (`pumice sensitivity`), and together (`pumice search`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...files import read_json
from .names import layer_of

OUTSIDE = "outside"
"""The row of tensors that belong to no layer."""
COSTS = ("bytes", "state_bytes", "bit_operations", "energy_nj")
"""What a point of a search costs."""
FULL_SHADE_DB = 30
"""Loss of signal to noise that has the strongest colour of the heat map."""


def sensitivity(folder: Path, finished: bool) -> dict[str, Any] | None:
    """The result of ``sensitivity`` in a run folder; None where it has not finished."""
    if not finished:
        return None
    found = read_json(folder / "sensitivity.json")
    decisions = max(found["base"]["decisions"], 1)
    shares = {key: found["base"][key] / decisions for key in ("same_class", "correct")}
    return {
        "judge": found["judge"],
        "decisions": found["base"]["decisions"],
        "base": {**_figures(found["base"]), **shares},
        "entries": [_entry(entry, found["base"]) for entry in found["entries"]],
    }


def _figures(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("refused", "kl", "sqnr_db", "parameter_bits", "state_bits", "bit_operations")}


def _entry(entry: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    names = {key: entry[key] for key in ("place", "layer", "width", "kind", "from", "to", "refused", "kl", "sqnr_db")}
    if entry["refused"] is not None:
        nothing = ("same_class", "correct", "saved_bytes", "saved_state_bytes", "saved_bit_operations")
        return {**names, **dict.fromkeys(nothing)}
    decisions = max(entry["decisions"], 1)
    return {
        **names,
        "same_class": entry["same_class"] / decisions,
        "correct": entry["correct"] / decisions,
        "saved_bytes": entry["saved_parameter_bits"] / 8,
        "saved_state_bytes": entry["saved_state_bits"] / 8,
        "saved_bit_operations": entry["saved_bit_operations"] / max(base["bit_operations"], 1e-9),
    }


def heat_map(found: Mapping[str, Any]) -> dict[str, Any]:
    """Layers by tensors: signal to noise where one tensor alone is lowered.

    Returns:
        ``columns``: (tensor, bits it is lowered to), for each tensor the most first; ``rows``: (layer, a cell a
        column): None where the layer lacks the tensor, else its ratio, whether it is refused, and the ``share`` of the
        strongest colour: what it loses against all tensors as they are, in `FULL_SHADE_DB`.
    """
    entries, base = found["entries"], found["base"]["sqnr_db"]
    widths = dict.fromkeys(entry["width"] for entry in sorted(entries, key=lambda entry: _order(entry)))
    columns = [
        (width, bits)
        for width in widths
        for bits in sorted({entry["to"] for entry in entries if entry["width"] == width}, reverse=True)
    ]
    cells: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for layer in sorted({entry["layer"] for entry in entries}, key=lambda layer: (layer == "", layer)):
        cells[layer_of(f"{layer.replace('.', '/')}/") if layer else OUTSIDE] = {
            (entry["width"], entry["to"]): _cell(entry, base) for entry in entries if entry["layer"] == layer
        }
    return {
        "columns": columns,
        "tensors": [(width, sum(name == width for name, _ in columns)) for width in widths],
        "rows": [(layer, [own.get(column) for column in columns]) for layer, own in cells.items()],
    }


def _cell(entry: Mapping[str, Any], base: float | None) -> dict[str, Any]:
    ratio = entry["sqnr_db"]
    lost = 0.0 if ratio is None or base is None else (base - ratio) / FULL_SHADE_DB
    return {"sqnr_db": ratio, "refused": entry["refused"] is not None, "share": min(max(lost, 0.0), 1.0)}


def _order(entry: Mapping[str, Any]) -> tuple[int, bool, str]:
    kinds = ("weights", "constants", "activations", "states")
    return kinds.index(entry["kind"]), entry["layer"] == "", entry["width"]


def search(folder: Path, finished: bool) -> dict[str, Any] | None:
    """The result of ``search`` in a run folder; None where it has not finished."""
    if not finished:
        return None
    found = read_json(folder / "search.json")
    base, chosen = found["base"], found["chosen"]
    front = {entry["name"] for entry in found["front"]}
    points = [
        {
            "point": entry["name"],
            "front": entry["name"] in front,
            "chosen": entry["name"] == chosen,
            **{key: entry[key] for key in ("within", "kl", "sqnr_db", *COSTS)},
            **{key: entry[key] / max(entry["decisions"], 1) for key in ("same_class", "correct")},
        }
        for entry in found["tried"]
    ]
    return {
        "judge": found["judge"],
        "decisions": found["float"]["decisions"],
        "float": found["float"]["correct"] / max(found["float"]["decisions"], 1),
        "base_bytes": None if base is None else base["parameter_bits"] / 8,
        "objectives": found["objectives"],
        "trials": found["trials"],
        "refused": found["refused"],
        "chosen": chosen,
        "points": points,
        "front": sorted((point for point in points if point["front"]), key=lambda point: (point["bytes"], point["kl"])),
        "changes": {entry["name"]: entry["changes"] for entry in found["front"]},
    }
