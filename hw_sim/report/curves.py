"""Curves of training and fine-tuning, from the logs in a run folder."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...errors import PumiceError
from . import figures
from .figures import ACCENT, FAINT, MUTED, NARROW, SECOND, THIRD

TRAINING = "train/loss"
RATES = "lr-"
"""How the columns of learning rates begin; groups of parameters have one each."""
PHASES = {"train": "training", "quantize": "fine-tuning"}
"""Stages that leave logs behind, and what they do."""
FEWEST_DRAWN = 3
"""Epochs that are drawn; fewer are told."""


def curves(folder: Path, figures_of: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was logged in each phase, by epoch.

    Args:
        folder: of the run.
        figures_of: what its finished stages reported, by stage.

    Returns:
        an entry a phase that has left a log: its name, ``judge`` (the split that chose, or None), ``kept`` (the epoch
        whose weights were kept, or None), and ``epochs``: number from 1, ``train_loss`` (mean of the batches that
        were logged), ``loss`` and ``accuracy`` of the judge, ``rate`` (the largest learning rate of any group of
        parameters, at the beginning); None where it was not logged.

    Raises:
        PumiceError: a log that no training wrote.
    """
    places = {"train": folder / "logs", "quantize": folder / "quantize" / "logs"}
    found = []
    for stage, place in places.items():
        own = figures_of.get(stage)
        rows = [] if own is None else _rows(place)
        if own is None or not rows:
            continue
        judge = next(
            (name.partition("/")[0] for row in rows for name in row if name.endswith("/loss") and name != TRAINING),
            None,
        )
        best = own.get("best") if stage == "train" else own.get("fine_tuning", {}).get("best")
        epochs = _by_epoch(rows, judge)
        if epochs:
            kept = None if best is None else int(best["epoch"])
            found.append({"phase": PHASES[stage], "judge": judge, "kept": kept, "epochs": epochs})
    return found


def _rows(place: Path) -> list[dict[str, float]]:
    """The rows of all logs, by step: where a training went on, what it had done after its last checkpoint is redone."""
    rows: list[dict[str, float]] = []
    files = place.glob("csv/version_*/metrics.csv")
    for path in sorted(files, key=lambda path: int(path.parent.name.partition("_")[2])):
        try:
            with path.open(encoding="utf-8", newline="") as file:
                new = [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(file)]
        except (csv.Error, ValueError, TypeError) as error:
            raise PumiceError(f"{path} is no log of a training ({error}); delete it, or train anew") from error
        if new and "step" not in new[0]:
            raise PumiceError(f"{path} is no log of a training (it has no steps); delete it, or train anew")
        rows = [row for row in rows if not new or row["step"] < new[0]["step"]] + new
    return rows


def _by_epoch(rows: Iterable[Mapping[str, float]], judge: str | None) -> list[dict[str, Any]]:
    losses: dict[int, list[float]] = {}
    others: dict[int, dict[str, float]] = {}
    rate: float | None = None
    for row in rows:
        rates = [value for name, value in row.items() if name.startswith(RATES)]
        if rates:  # told before the first row of the epoch
            rate = max(rates)
        if "epoch" not in row:
            continue
        epoch = int(row["epoch"]) + 1
        kept = others.setdefault(epoch, {})
        if rate is not None:
            kept["rate"] = rate
            rate = None
        if TRAINING in row:
            losses.setdefault(epoch, []).append(row[TRAINING])
        for name in ("loss", "accuracy"):
            if f"{judge}/{name}" in row:
                kept[name] = row[f"{judge}/{name}"]
    return [
        {
            "epoch": epoch,
            "train_loss": math.fsum(losses[epoch]) / len(losses[epoch]) if epoch in losses else None,
            **{name: kept.get(name) for name in ("loss", "accuracy", "rate")},
        }
        for epoch, kept in sorted(others.items())
    ]


def drawn(found: Mapping[str, Any]) -> str | None:
    """Losses, accuracy and learning rate by epoch, one below the other; None of too few epochs for a line."""
    epochs = found["epochs"]
    if len(epochs) < FEWEST_DRAWN:
        return None
    apart = found["phase"] == "fine-tuning"  # its losses are of two kinds
    judged = "divergence" if apart else found["judge"]
    losses = [("train_loss", "training", ACCENT, "-"), ("loss", judged, SECOND, "--")]
    panels = [("loss", losses)] if not apart else [(f"{losses[0][1]} loss", losses[:1]), (f"{judged}", losses[1:])]
    panels += [
        ("accuracy", [("accuracy", found["judge"], SECOND, "--")]),
        ("learning rate", [("rate", "", THIRD, "-")]),
    ]
    known = [panel for panel in panels if any(entry[key] is not None for key, *_ in panel[1] for entry in epochs)]

    def draw(figure: Figure) -> None:
        axes = figure.subplots(len(known), 1, sharex=True, squeeze=False)[:, 0]
        for ax, (name, lines) in zip(axes, known, strict=True):
            _panel(ax, name, lines, epochs, found["kept"])
        axes[-1].set_xlabel("epoch")
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))

    return figures.svg(NARROW, 0.6 + 0.95 * len(known), f"Loss, accuracy and learning rate of {found['phase']}", draw)


def _panel(
    ax: Axes,
    name: str,
    lines: Sequence[tuple[str, str, str, str]],
    epochs: Sequence[Mapping[str, Any]],
    kept: int | None,
) -> None:
    if kept is not None:
        ax.axvline(kept, color=MUTED, linewidth=0.8, linestyle=":")
    for key, label, colour, style in lines:
        told = [(entry["epoch"], entry[key]) for entry in epochs if entry[key] is not None]
        if not told:
            continue
        ax.plot(*zip(*told, strict=True), style, color=colour, linewidth=1.3, label=label, marker="o", markersize=1.5)
        at = next((value for epoch, value in told if epoch == kept), None)
        if kept is not None and at is not None and key != "rate":
            ax.plot([kept], [at], "o", color=colour, markersize=4.5)
    if len(lines) > 1:
        ax.legend(loc="upper right", borderpad=0, ncols=2, handlelength=1.6)
    values = [entry[key] for entry in epochs for key, *_ in lines if entry[key] is not None]
    if name != "accuracy" and min(values) > 0 and max(values) > 30 * min(values):
        ax.set_yscale("log")
    ax.set_ylabel(name)
    ax.grid(color=FAINT, linewidth=0.5)
    ax.set_axisbelow(True)
    if name == "accuracy":
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    elif ax.get_yscale() == "linear":
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
        ax.locator_params(axis="y", nbins=4)
