"""Charts of what was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import figures
from .figures import ACCENT, FAINT, MUTED, NARROW, SECOND, THIRD, pareto_front

SEARCH_COSTS = {"bytes": "parameters, bytes", "energy_nj": "energy, nJ at most"}


def searched(found: Mapping[str, Any]) -> dict[str, str]:
    """Accuracy and signal to noise of the points of a search against each cost, ``search_<cost>``."""
    charts = {}
    for cost, label in SEARCH_COSTS.items():
        points = [point for point in found["points"] if point[cost] is not None]
        if len({point[cost] for point in points}) > 1:
            charts[f"search_{cost}"] = _against(points, cost, label, found["float"])
    return charts


def _against(points: Sequence[Mapping[str, Any]], cost: str, label: str, floats: float) -> str:
    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True)
        _scatter(upper, points, cost, "correct")
        upper.axhline(floats, color=THIRD, linewidth=0.8, linestyle="--", label="float model")
        upper.legend(loc="lower right", borderpad=0)
        upper.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        upper.set_ylabel("accuracy")
        _scatter(lower, points, cost, "sqnr_db")
        lower.set_ylabel("SQNR, dB")
        lower.set_xlabel(label)
        lower.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
        lower.locator_params(axis="x", nbins=5)

    return figures.svg(NARROW, 4.2, f"Accuracy and signal to noise of widths against {label}", draw)


def _scatter(ax: Axes, points: Sequence[Mapping[str, Any]], cost: str, what: str) -> None:
    """All points, those that no other beats joined, and a ring around the chosen one."""
    known = [point for point in points if point[what] is not None]
    x, y = (np.array([point[key] for point in known], dtype=float) for key in (cost, what))
    ax.plot(x, y, "o", color=MUTED, markersize=2.5, alpha=0.45, markeredgewidth=0)
    front = pareto_front(x, y)
    ax.plot(x[front], y[front], "-o", color=ACCENT, linewidth=1, markersize=3.5)
    for number, point in enumerate(known):
        if point["chosen"]:
            ax.plot(x[number], y[number], "o", markersize=9, markerfacecolor="none", color=SECOND, markeredgewidth=1.4)
    ax.grid(color=FAINT, linewidth=0.5)
    ax.set_axisbelow(True)
