"""What a report shows of early decisions, and of how long they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from . import figures
from .figures import ACCENT, FAINT, MUTED, NARROW, SECOND

ENOUGH = 0.95
"""Of the accuracy at the end, what counts as decided."""
SIDES = ("integer", "float")


def early(simulated: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Accuracy by the part of a recording that was heard; None where it was not measured.

    Returns:
        ``shares``; ``integer`` and ``float``, accuracies after each, None of a model that does not tell; ``flat``,
        whether nothing changes; ``enough``, the first share after which the integers have `ENOUGH` of their last
        accuracy; ``seconds``, the mean duration, None where steps have no length.
    """
    found = (simulated or {}).get("early")
    if simulated is None or found is None:
        return None
    total = max(found["decisions"], 1)
    shares = {side: None if found[side] is None else [count / total for count in found[side]] for side in SIDES}
    integer, seconds = shares["integer"] or [], simulated["duration_s"]
    drawn = [value for side in SIDES for value in shares[side] or ()]
    return {
        "shares": found["shares"],
        **shares,
        "decisions": found["decisions"],
        "flat": min(drawn) == max(drawn),
        "enough": next(s for s, value in zip(found["shares"], integer, strict=True) if value >= ENOUGH * integer[-1]),
        "seconds": None if seconds is None else seconds / total,
    }


def speed(simulated: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Events a second and real-time factors; None of results that do not know them.

    Returns:
        ``alone``: see `hw_sim.simulator.along.latency`; ``backends``: by name, events a second, and how many times
        faster they ran than the recordings last, None where that is not known.
    """
    if simulated is None or "latency" not in simulated:
        return None
    lasts = simulated["duration_s"]
    each = lasts / max(simulated["events"], 1) if lasts else None
    backends = {
        name: {"events_per_s": entry["events_per_s"], "real_time": each and entry["events_per_s"] * each}
        for name, entry in simulated["backends"].items()
    }
    return {"alone": simulated["latency"], "sample": simulated["example"]["sample"], "backends": backends}


def drawn(found: Mapping[str, Any]) -> str | None:
    """Accuracy of integers and float model after each part of a recording; None where nothing changes."""
    if found["flat"]:
        return None

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        for side, colour, style in (("integer", ACCENT, "-"), ("float", SECOND, "--")):
            if found[side] is not None:
                label = "integers" if side == "integer" else "float model"
                ax.plot(found["shares"], found[side], style, color=colour, linewidth=1.4, label=label)
        ax.axvline(found["enough"], color=MUTED, linewidth=0.8, linestyle=":")
        ax.set_xlim(0, 1.02)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        ax.set_xlabel("part of a recording that was heard")
        ax.set_ylabel("accuracy")
        ax.grid(color=FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.legend(loc="lower right", borderpad=0)

    return figures.svg(NARROW, 2.6, "Accuracy against the part of a recording that was heard", draw)
