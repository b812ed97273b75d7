"""Charts as SVG for a page: its text and colours follow the page's own style, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from scipy.special import softmax

from .labels import label
from .names import layer_of
from .vector import compact

INK, MUTED, FAINT, ACCENT, SECOND, THIRD = "#010203", "#020304", "#030405", "#040506", "#050607", "#060708"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    FAINT: "var(--line)",
    ACCENT: "var(--accent)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
}
"""Stand-ins that the SVG is drawn with, and the custom properties of the page that replace them."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pumice",
    "text.parse_math": False,
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.constrained_layout.use": True,
}
COLUMNS_AN_INCH, ROWS = 60, 110
"""What can be told apart in a raster."""
NARROW, WIDE = 4.4, 9.2
"""Widths in inches: half of a desktop page or all of a phone's; all of a desktop page's."""


def svg(width: float, height: float, label: str, draw: Callable[[Figure], None]) -> str:
    """Draw a figure of ``width`` x ``height`` inches; an ``<svg>`` element with ``label`` for screen readers."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?:figure|axes|patch|text|matplotlib\.axis|line2d|xtick|ytick|legend)_\d+"', "", text)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return compact(text).replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def state_bits(states: Mapping[str, Mapping[str, Any]]) -> str:
    """How many bits the states' codes use, one line a layer."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots(len(states), 1, sharex=True, squeeze=False)[:, 0]
        widest = max(entry["width"] for entry in states.values())
        for ax, (name, entry) in zip(axes, states.items(), strict=True):
            counts = np.array(entry["counts"], dtype=float)
            ax.bar(np.arange(len(counts)), counts / max(counts.sum(), 1), width=0.85, color=ACCENT)
            ax.axvline(entry["width"] - 0.5, color=THIRD, linewidth=1)
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
            ax.set_title(layer_of(name), color=MUTED, pad=2)
        axes[-1].set_xlim(-0.6, widest + 0.6)
        axes[-1].set_xticks(range(0, widest + 1, 4 if widest > 16 else 2))
        axes[-1].set_xlabel("bits of a state code's magnitude")

    return svg(NARROW, 0.5 + 0.62 * len(states), "Distribution of the states' magnitudes in bits, by layer", draw)


def time_constants(values: Mapping[str, Sequence[float | None]], unit: str) -> str:
    """The time constants of each layer's modes or neurons on a logarithmic axis."""

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        for row, taus in enumerate(values.values()):
            known = np.array([tau for tau in taus if tau], dtype=float)
            spread = row + 0.3 * np.sin(2.4 * np.arange(len(known)))  # apart enough to be told apart
            ax.plot(known, spread, "o", markersize=3, color=ACCENT, alpha=0.8, markeredgewidth=0)
            if len(known):
                ax.plot([np.median(known)] * 2, [row - 0.42, row + 0.42], color=INK, linewidth=1)
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_yticks(range(len(values)), [layer_of(name) for name in values])
        ax.set_ylim(len(values) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color=FAINT, linewidth=0.5)
        ax.set_xlabel(f"time constant, {unit}")

    return svg(NARROW, 0.7 + 0.5 * len(values), "Time constants by layer", draw)


def raster(
    values: np.ndarray, times_us: np.ndarray, logits: np.ndarray, names: Sequence[str], label: int | None, width: float
) -> str:
    """The events of a sample, and under them the running decision as softmax of the logits (L, C), in value units.

    Events are tokens (L,), or the entries of whole numbers (L, F) that are not zero; other values are not drawn.
    Without a ``label`` no class is marked as the true one.
    """
    seconds = (times_us - times_us[:1]) / 1e6
    shares = softmax(logits, axis=1) if len(logits) else logits
    marks, columns = _marks(values, seconds), int(width * COLUMNS_AN_INCH)
    last = _last_of_columns(seconds, columns)

    def draw(figure: Figure) -> None:
        drawn = marks is not None
        rows = figure.subplots(1 + drawn, 1, sharex=True, squeeze=False, height_ratios=[1.5, 1][: 1 + drawn])
        if marks is not None:
            _events(rows[0, 0], *_apart(*marks, columns), "token" if values.ndim == 1 else "channel")
        _decision(rows[-1, 0], seconds, shares, last, names, label)

    return svg(width, 4.0, "Events of a test sample, and the running decision under them", draw)


def _marks(values: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Times and heights (n,) of the marks of events; None where values are real numbers or stay zero."""
    if values.ndim == 1:
        return seconds, values
    rows, channels = np.nonzero(values)
    whole = len(rows) > 0 and bool(np.all(values == np.rint(values)))
    return (seconds[rows], channels) if whole else None


def _columns(seconds: np.ndarray, columns: int) -> np.ndarray:
    """The column (n,) of each moment, of so many over the whole time."""
    end = float(seconds.max(initial=0)) or 1.0
    return (seconds / end * columns).astype(np.int64)


def _apart(seconds: np.ndarray, places: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The marks that can be told apart: of those in one place of the picture the first."""
    height = max(float(places.max(initial=1)) / ROWS, 1.0)
    cells = np.stack([_columns(seconds, columns), (places / height).astype(np.int64)], axis=1)
    _, first = np.unique(cells, axis=0, return_index=True)
    return seconds[first], places[first]


def _last_of_columns(seconds: np.ndarray, columns: int) -> np.ndarray:
    """Numbers of the moments after which a column of the picture has no other, and of the first."""
    if not len(seconds):
        return np.zeros(0, dtype=np.int64)
    column = _columns(seconds, columns)
    ends = np.flatnonzero(np.append(column[1:] != column[:-1], True))
    return np.union1d([0], ends)


def _events(ax: Axes, seconds: np.ndarray, places: np.ndarray, ylabel: str) -> None:
    height = max(float(places.max(initial=1)) / 150, 0.7)
    gap = np.full(len(places), np.nan)  # one path of separate strokes: the page stays small
    across = np.column_stack([seconds, seconds, gap]).ravel()
    up = np.column_stack([places - height / 2, places + height / 2, gap]).ravel()
    ax.plot(across, up, color=INK, linewidth=0.7, alpha=0.75, solid_capstyle="butt")
    ax.set_ylim(-height, places.max(initial=1) + height)
    ax.set_ylabel(ylabel)


def _decision(
    ax: Axes, seconds: np.ndarray, shares: np.ndarray, drawn: np.ndarray, names: Sequence[str], label: int | None
) -> None:
    shown = [] if label is None else [label]
    if len(shares):
        shown += [int(index) for index in np.argsort(-shares.mean(axis=0)) if index != label]
    for index, colour, line in zip(shown, (ACCENT, SECOND, THIRD), ("-", "--", ":"), strict=False):
        text = f"{names[index]} (true class)" if index == label else names[index]
        ax.step(
            seconds[drawn], shares[drawn, index], where="post", color=colour, linewidth=1.4, linestyle=line, label=text
        )
    ax.set_xlim(0, float(seconds.max(initial=0)) or 1)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("time, s")
    ax.set_ylabel("softmax")
    if shown:
        ax.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=3, handlelength=1.6, columnspacing=1, borderpad=0)


def pareto(rows: Sequence[Mapping[str, Any]], key: str, xlabel: str) -> str:
    """Accuracy with its interval against a cost, one point a run; the runs no other beats are joined.

    A point without room for its run's name has its number.
    """

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        cost, accuracy = (np.array([row[name] for row in rows], dtype=float) for name in (key, "accuracy"))
        below, above = (np.array([row[name] for row in rows], dtype=float) for name in ("low", "high"))
        bars = np.stack([accuracy - below, above - accuracy])
        ax.errorbar(cost, accuracy, bars, fmt="none", ecolor=MUTED, elinewidth=0.8)
        front = pareto_front(cost, accuracy)
        ax.plot(cost[front], accuracy[front], color=ACCENT, linewidth=1)
        ax.plot(cost, accuracy, "o", color=ACCENT, markersize=4.5)
        ax.margins(x=0.22, y=0.12)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}" if abs(value) < 1e5 else f"{value / 1e6:,.3g} M")
        ax.locator_params(axis="x", nbins=5)
        ax.grid(color=FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel(xlabel)
        ax.set_ylabel("accuracy")
        label(figure, ax, cost, accuracy, [(row["short"], str(row["number"])) for row in rows])

    return svg(NARROW, 3.0, f"Accuracy against {xlabel}", draw)


def pareto_front(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Indices of the points that no other beats in one and equals in the other, by rising cost."""
    front, best = [], -np.inf
    for index in np.lexsort((-accuracy, cost)):
        if accuracy[index] > best:
            front.append(int(index))
            best = accuracy[index]
    return np.array(front, dtype=np.int64)
