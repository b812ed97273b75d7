"""The samples that a report shows as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...archives import load_arrays
from .marks import pictured

MOST = 6
"""Samples of either kind."""
SIDES = ("label", "integer", "float")


def mistakes(folder: Path, simulated: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What ``simulate`` chose, with names of classes and a drawing each; None where it has chosen nothing.

    Returns:
        ``wrong``, how often the integers err; ``mistakes`` and ``differing``, the samples of either kind: as
        `stages.mistakes.mistakes` has them, with ``svg``, None where there is no picture.
    """
    found = (simulated or {}).get("mistakes")
    if simulated is None or found is None:
        return None
    names = simulated["class_names"]
    marks = load_arrays(folder / "simulate.npz", "simulate")["marks"].astype(np.int64)
    rows = []
    for number, entry in enumerate(found["shown"]):
        places = marks[marks[:, 0] == number, 1:]
        drawn = entry["picture"] and pictured({**entry["picture"], "sample": entry["sample"]}, places)
        rows.append({**entry, **{side: names[entry[side]] for side in SIDES}, "svg": drawn})
    return {
        "wrong": found["wrong"],
        "mistakes": _surest([row for row in rows if row["integer"] != row["label"]]),
        "differing": _surest([row for row in rows if row["differs"]]),
    }


def _surest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The samples of one kind: some may be of both, and would be too many here."""
    return sorted(rows, key=lambda row: (-row["integer_share"], row["sample"]))[:MOST]
