"""The report on disk: HTML, JSON and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...archives import load_arrays
from ...files import atomic_path, write_json
from ...program import load
from . import curves, early, figures, pictures
from .collect import collect
from .disagreements import decisions
from .formats import by_layer
from .graph import picture, rate_text
from .mistakes import mistakes
from .strange import results_of
from .tables import TABLES
from .widths import heat_map

NODE_KINDS = ("norm", "ssm", "y", "gelu", "gate", "skip", "state", "out")
"""Columns of the table of signal-to-noise ratios."""


def write_report(folder: Path, stages: Sequence[str] = ()) -> dict[str, Any]:
    """Write the report of the run in ``folder`` into it and return its data.

    Args:
        folder: of the run.
        stages: see `collect`.

    Raises:
        PumiceError: no run lies there, or a file in it is damaged.
    """
    with results_of(folder):
        data = collect(folder, stages)
        drawn, matrix = charts(data, folder), node_matrix(data)
        write_json(folder / "report.json", data)
        for name, rows in TABLES.items():
            write_csv(folder / "report" / f"{name}.csv", rows(data))
        heat = heat_map(data["sensitivity"]) if data["sensitivity"] else None
        write_page(
            folder / "report.html",
            "run.html.j2",
            data=data,
            charts=drawn,
            matrix=matrix,
            heat=heat,
            mistakes=None if data["errors"] else mistakes(folder, data["looked"]),
            graph=picture(load(folder / "program.npz")) if data["formats"] else None,
            by_layer=by_layer(data["formats"] or (), data["parity"] and data["parity"]["events"]),
        )
    return data


def charts(data: Mapping[str, Any], folder: Path) -> dict[str, Markup]:
    """The page's charts, by name; those whose data have not been made are left out."""
    drawn = {f"curves_{number}": curves.drawn(entry) for number, entry in enumerate(data["curves"])}
    found = {name: chart for name, chart in drawn.items() if chart}
    if data["early"] and (chart := early.drawn(data["early"])):
        found["early"] = chart
    if data["states"]:
        found["states"] = figures.state_bits(data["states"])
    if data["time_constants"]:
        found["time_constants"] = figures.time_constants(**data["time_constants"])
    if data["example"] and not data["errors"]:
        arrays = load_arrays(folder / "simulate.npz", "simulate")
        logits = arrays["example_logits"] * 2.0 ** -data["example"]["logits_frac"]
        shown = (arrays["example_values"], arrays["example_times"], logits)
        names, label = data["names"], data["example"]["label"]
        found["raster"] = figures.raster(*shown, names, label, figures.WIDE)
        found["raster_narrow"] = figures.raster(*shown, names, label, figures.NARROW)
    if data["parity"] and data["nodes"]:
        found["losses"] = pictures.losses(data["nodes"], data["parity"]["events"])
    if data["ranges"]:
        found["ranges"] = pictures.ranges(data["ranges"], figures.WIDE)
        found["ranges_narrow"] = pictures.ranges(data["ranges"], figures.NARROW)
    decided = decisions(folder, data["disagreements"])
    if decided is not None:
        found["disagreements"] = pictures.disagreements(*decided[1:])
    if data["search"]:
        found |= pictures.searched(data["search"])
    return {name: Markup(text) for name, text in found.items()}


def node_matrix(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Signal-to-noise ratios: ``kinds`` of nodes, and ``rows`` of (part of the network, a ratio for each kind).

    The state of a state-space layer stands under ``ssm``, that of neurons under ``state`` beside their spikes; nodes
    outside the layers under ``out``.
    """
    if not data["nodes"] or not data["parity"]:
        return None
    rows: dict[str, dict[str, float]] = {}
    for node in data["nodes"]:
        own, state = node["sqnr_db"], node["state_sqnr_db"]
        kind = node["name"].rsplit("/", 1)[-1]
        found = {kind: own if state is None else state} if kind in NODE_KINDS else {"state": state, "out": own}
        known = {name: ratio for name, ratio in found.items() if ratio is not None}
        if known:
            rows.setdefault(node["layer"], {}).update(known)
    kinds = [kind for kind in NODE_KINDS if any(kind in row for row in rows.values())]
    return {"kinds": kinds, "rows": [(layer, [row.get(kind) for kind in kinds]) for layer, row in rows.items()]}


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV, atomically."""
    with atomic_path(path) as target, target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def write_page(path: Path, template: str, **context: Any) -> None:
    """Render ``templates/<template>`` to ``path``, atomically."""
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bytes": whole_bytes,
        "total": total,
        "short": short,
        "percent": percent,
        "combined": combined,
        "energy_high": energy_high,
    }
    environment.globals |= {"interval": interval, "rate_text": rate_text}
    text = environment.get_template(template).render(**context)
    with atomic_path(path) as target:
        target.write_text(text, encoding="utf-8")


def short(value: float | None) -> str:
    """A number in few characters: ``1,234``, ``56.7``, ``0.12``; nothing for None."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.2f} M"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def percent(value: float, digits: int = 1) -> str:
    """``0.123`` as ``12.3 %``."""
    return f"{100 * value:.{digits}f} %"


def interval(low: float, high: float) -> str:
    """``3.1 to 12.8``, or one number where both read alike."""
    return short(low) if short(low) == short(high) else f"{short(low)} to {short(high)}"


def whole_bytes(size: float) -> str:
    """``12,345``; nothing for nothing."""
    return f"{size:,.0f}" if size else ""


def total(entry: Mapping[str, float]) -> float:
    """The sum of all entries."""
    return sum(entry.values())


def combined(entry: Mapping[str, float]) -> float:
    """All operations of one part of the network."""
    return entry["mac"] + entry["ac"] + entry["other"]


def energy_high(entry: Mapping[str, float]) -> float:
    """The upper bound of a part's energy."""
    return entry["compute_high"] + entry["memory_high"]
