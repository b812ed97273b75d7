"""Several runs side by side: accuracy against what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...errors import PumiceError
from ...files import write_json
from . import figures
from .collect import collect
from .provenance import differing
from .strange import results_of
from .write import write_csv, write_page

COLUMNS = (
    "run",
    "task",
    "widths",
    "accuracy",
    "low",
    "high",
    "samples",
    "lost",
    "won",
    "float",
    "differing",
    "products",
    "bit_operations",
    "energy_nj",
    "bytes",
)
"""Columns of the CSV."""

COSTS = {
    "bit_operations": "bit operations {}",
    "products": "products {}",
    "energy_nj": "energy {}, nJ at most",
    "bytes": "parameters, bytes",
}
"""What accuracy is drawn against, where it differs between the runs; with room for ``unit_of`` them."""


def write_comparison(folders: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """Write comparison.html, comparison.json and comparison.csv of the runs in ``folders``; returns a row each.

    Raises:
        PumiceError: a folder holds no run, runs are of different tasks, or the files cannot be written.
    """
    rows = [compared_run(folder) for folder in folders]
    tasks = {row["task"]: row["run"] for row in rows if row["task"] is not None}
    if len(tasks) > 1:
        told = ", ".join(f"{run} of {task}" for task, run in tasks.items())
        raise PumiceError(f"runs of different tasks cannot be compared ({told}); name those of one task")
    unlike = differing([row.pop("settings") for row in rows])
    for number, (row, short) in enumerate(zip(rows, short_names([row["run"] for row in rows]), strict=True), 1):
        row["short"], row["number"] = short, number
    write_json(out / "comparison.json", rows)
    write_csv(out / "comparison.csv", [list(COLUMNS), *([row[key] for key in COLUMNS] for row in rows)])
    drawn = [row for row in rows if row["accuracy"] is not None]
    charts, unit, same = {}, unit_of(rows), {}
    flat = len(drawn) > 1 and len({row["accuracy"] for row in drawn}) == 1
    for key, label in COSTS.items():
        known = [row for row in drawn if row[key] is not None]
        if len(values := {row[key] for row in rows}) == 1 and None not in values:
            same[label.format(unit)] = rows[0][key]
        if not flat and len({row[key] for row in known}) > 1:
            charts[key] = Markup(figures.pareto(known, key, label.format(unit)))  # drawn here, texts escaped
    write_page(
        out / "comparison.html",
        "comparison.html.j2",
        rows=rows,
        charts=charts,
        unit=unit,
        unlike=unlike,
        flat=drawn[0] if flat else None,
        same=same,
    )
    return rows


def compared_run(folder: Path) -> dict[str, Any]:
    """The figures of one run that a comparison shows; None for what has not run."""
    with results_of(folder):
        return _compared(folder, collect(folder))


def _compared(folder: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    by_model = {row["model"]: row for row in data["accuracy"]}
    integer, operations, settings = by_model["integer"], data["operations"], data["provenance"]["settings"]
    return {
        "run": str(folder),
        "settings": settings,
        "task": (settings.get("task") or {}).get("name"),
        "widths": (settings.get("quantize") or {}).get("name"),
        "clocked": data["clocked"],
        **{key: integer.get(key) for key in ("accuracy", "low", "high", "samples", "lost", "won")},
        "float": by_model["float"]["accuracy"],
        "differing": data["parity"] and data["parity"]["differing"],
        "products": operations and operations["integer"]["effective_macs"] + operations["integer"]["effective_acs"],
        "bit_operations": operations and operations["bit_operations"],
        "energy_nj": data["energy"] and data["energy"]["per_event_pj"]["integer"]["total"]["high"] / 1000,
        "bytes": data["memory"] and data["memory"]["integer"]["weights"],
    }


def unit_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """What costs are means of: ``an event``, ``a step`` of clocked networks, or either."""
    kinds = {row["clocked"] for row in rows} - {None}
    return "an event or a step" if len(kinds) > 1 else "a step" if kinds == {True} else "an event"


def short_names(paths: Sequence[str]) -> list[str]:
    """Paths without the folders, and the settings of a multirun's folder name, that all of them share."""
    parts = [Path(path).parts for path in paths]
    shared = 0
    while len(paths) > 1 and all(len(part) > shared + 1 for part in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    names = ["/".join(part[shared:]) for part in parts]
    settings = [name.split(",") for name in names]
    common = set.intersection(*map(set, settings)) if len(names) > 1 else set()
    return [",".join(item for item in each if item not in common) or ",".join(each) for each in settings]
