"""Charts of what was tried and of where bits go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from . import figures
from .figures import ACCENT, FAINT, INK, MUTED, NARROW, SECOND, THIRD, WIDE, pareto_front
from .names import layer_of

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


def ranges(found: Mapping[str, Mapping[str, Any]], width: float) -> str:
    """The float model's values in the program's codes: a histogram a node, from below one unit to above the limit.

    Args:
        found: as `parity.ranges.ranges` gives it.
        width: in inches; a wide chart has two columns.
    """
    columns = 2 if width >= WIDE else 1
    rows = -(-len(found) // columns)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, columns, squeeze=False)[0]
        names = list(found)
        for number, ax in enumerate(axes):
            _ridges(ax, {name: found[name] for name in names[number * rows : (number + 1) * rows]}, rows)

    label = "Values of the float model in the program's codes, by node"
    return figures.svg(width, 0.9 + 0.24 * rows, label, draw)


def _ridges(ax: Axes, found: Mapping[str, Mapping[str, Any]], rows: int) -> None:
    """One row of bars a node: what lies between a code's unit and its limit, and, in other colours, what does not."""
    for row, entry in enumerate(found.values()):
        counts = np.array(entry["counts"], dtype=float)
        bits = entry["first"] + np.arange(len(counts))
        heights = 0.8 * counts / max(counts.max(), 1)
        lost, clipped = bits < 0, bits > entry["bits"]
        edges = np.repeat(np.concatenate([bits - 0.5, bits[-1:] + 0.5]), 2)[1:-1]
        for chosen, colour in ((~lost & ~clipped, ACCENT), (lost, MUTED), (clipped, SECOND)):
            top = row + 0.4 - np.repeat(np.where(chosen, heights, 0), 2)
            ax.fill_between(edges, row + 0.4, top, where=top < row + 0.4, color=colour, linewidth=0)
        ax.plot([entry["bits"] + 0.5] * 2, [row - 0.45, row + 0.4], color=THIRD, linewidth=1)
    ax.axvline(-0.5, color=FAINT, linewidth=0.8)
    ax.set_yticks(range(len(found)), [_short(name) for name in found], fontsize=7.5)
    ax.set_ylim(rows - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("bits of a value's magnitude")


def _short(name: str) -> str:
    """A node, or its state, in few characters: ``0.1 gate``, ``0.1 ssm, state``."""
    node, _, state = name.partition(":")
    part, last = layer_of(node), node.rsplit("/", 1)[-1]
    own = part.removeprefix("layer ") + ("" if part == node or part.endswith(last) else f" {last}")
    return f"{own}, {state}" if state else own


def losses(nodes: Sequence[Mapping[str, Any]], events: int) -> str:
    """Signal to noise of each node, and how often it saturates an event, side by side."""
    shown = ("sqnr_db", "state_sqnr_db", "saturations")
    known = [node for node in nodes if any(node[key] for key in shown)]

    def draw(figure: Figure) -> None:
        noise, clipped = figure.subplots(1, 2, sharey=True, width_ratios=[1.6, 1])
        rows = np.arange(len(known))
        ratios = np.array([np.nan if node["sqnr_db"] is None else node["sqnr_db"] for node in known])
        noise.hlines(rows, 0, ratios, color=FAINT, linewidth=1)
        noise.plot(ratios, rows, "o", color=ACCENT, markersize=3.5)
        states = np.array([np.nan if node["state_sqnr_db"] is None else node["state_sqnr_db"] for node in known])
        noise.plot(states, rows, "s", color=SECOND, markersize=3.5, label="its state")
        if not np.isnan(states).all():
            noise.legend(loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, handletextpad=0)
        noise.set_xlabel("SQNR, dB")
        noise.set_yticks(rows, [_short(node["name"]) for node in known], fontsize=7.5)
        noise.set_ylim(len(known) - 0.4, -0.6)
        rates = np.array([node["saturations"] or 0 for node in known]) / max(events, 1) * 1000
        clipped.barh(rows, rates, 0.7, color=THIRD)
        clipped.set_xlim(0, max(rates.max(initial=0) * 1.1, 1e-9) if rates.any() else 1)
        clipped.set_xlabel("saturations\nin 1,000 events")
        for ax in (noise, clipped):
            ax.tick_params(axis="y", length=0)
            ax.grid(axis="x", color=FAINT, linewidth=0.5)
            ax.set_axisbelow(True)

    return figures.svg(NARROW, 0.9 + 0.2 * len(known), "Signal to noise and saturations by node", draw)


STROKE = 1.002
"""The end of a dot's stroke, as a multiple of its beginning, on a logarithmic axis."""
LEAST_DRAWN = 1e-4
"""Shares of the largest margin that margins and changes are drawn down to."""
MOST_DRAWN = 400
"""Decisions on which both agree that are drawn; of the others all, up to as many."""


def disagreements(floats: np.ndarray, scores: np.ndarray) -> str:
    """Every decision by the float model's margin and by what the integers change of it; those that differ stand out.

    Args:
        floats: logits (M, C) of the float model.
        scores: those of the integers, in the same units.
    """
    margin, change, differ = margins(floats, scores)
    top = float(max(margin.max(initial=0), 1e-9))
    margin, change = (np.maximum(values, top * LEAST_DRAWN) for values in (margin, change))

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        for chosen, colour, size, label in (
            (~differ, MUTED, 2.5, "the same class"),
            (differ, SECOND, 5, "another class"),
        ):
            shown = np.flatnonzero(chosen)
            if not len(shown):
                continue
            shown = shown[np.linspace(0, len(shown) - 1, min(len(shown), MOST_DRAWN)).astype(int)]
            dots(ax, margin[shown], change[shown], color=colour, linewidth=size, alpha=0.7, label=label)
        ends = [margin.min(initial=top) / 1.5, top * 1.5]
        ax.plot(ends, ends, color=INK, linewidth=0.8)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlim(ends[0], ends[1])
        ax.set_ylim(min(change.min(initial=top), ends[0]) / 1.5, max(change.max(initial=0) * 3, ends[0] * 2))
        ax.set_xlabel("margin of the float model: best logit less second best")
        ax.set_ylabel("what the integers take of it")
        ax.legend(loc="upper right", borderpad=0, handletextpad=0.4, handlelength=0.3)
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.grid(color=FAINT, linewidth=0.5)
        ax.set_axisbelow(True)

    return figures.svg(NARROW, 3.2, "Margins of the float model's decisions and what integers change of them", draw)


def dots(ax: Axes, x: np.ndarray, y: np.ndarray, **style: Any) -> None:
    """Round dots at positive x, y as one path of the shortest strokes: a page with hundreds of them stays small."""
    gap = np.full(len(x), np.nan)
    across, up = np.column_stack([x, x * STROKE, gap]).ravel(), np.column_stack([y, y, gap]).ravel()
    ax.plot(across, up, solid_capstyle="round", **style)


def margins(floats: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each decision (M,): the float model's margin, what the integers take of it, whether they say another class.

    The margin is the best logit less the second best. What is taken of it: against the class that comes nearest in
    integers; a decision falls where that is more than the margin over the same class.
    """
    rows = np.arange(len(floats))
    best = floats.argmax(1)
    gaps = floats[rows, best][:, None] - floats
    after = scores[rows, best][:, None] - scores
    gaps[rows, best] = after[rows, best] = np.inf
    nearest = after.argmin(1)
    differ = scores.argmax(1) != best
    return gaps.min(1), np.maximum(gaps[rows, nearest] - after[rows, nearest], 0), differ
