"""The decisions on which the float model and the integers differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from ...archives import load_arrays

MOST = 40
"""Decisions that are listed."""
NEEDED = ("labels", "float", "scores")
SIDES = ("float", "integer")


def decisions(folder: Path, simulated: Mapping[str, Any] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Classes (M,), logits (M, C) of the float model and of the integers, as ``simulate`` left them; None if none."""
    if simulated is None or not (folder / "simulate.npz").is_file():
        return None
    arrays = load_arrays(folder / "simulate.npz", "simulate")
    if not set(NEEDED) <= set(arrays):
        return None
    labels, floats, scores = (arrays[name] for name in NEEDED)
    return labels, floats.astype(np.float64), scores.astype(np.float64)


def listed(found: tuple[np.ndarray, np.ndarray, np.ndarray] | None, names: Sequence[str]) -> dict[str, Any] | None:
    """How many decisions differ, and the first `MOST`: the class, what either says, and how sure it is (softmax)."""
    if found is None:
        return None
    labels, floats, scores = found
    answers = floats.argmax(1), scores.argmax(1)
    differing = np.flatnonzero(answers[0] != answers[1])
    rows = []
    for number in differing[:MOST].tolist():
        shares = [softmax(logits[number]) for logits in (floats, scores)]
        said = [int(answer[number]) for answer in answers]
        rows.append(
            {
                "decision": number,
                "label": names[int(labels[number])],
                "float": names[said[0]],
                "float_share": float(shares[0][said[0]]),
                "integer": names[said[1]],
                "integer_share": float(shares[1][said[1]]),
                "right": next((who for who, own in zip(SIDES, said, strict=True) if own == labels[number]), "neither"),
            }
        )
    return {"differing": len(differing), "decisions": len(labels), "rows": rows}
