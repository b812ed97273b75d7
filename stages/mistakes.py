"""Samples that a person wants to see: the most confident mistakes, and where float model and integers differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from ..hw_sim.report.marks import marks
from ..hw_sim.report.mistakes import MOST
from ..hw_sim.simulator.along import duration_s
from ..program import Program
from .decisions import TestSet


def mistakes(
    program: Program,
    tests: TestSet,
    floats: NDArray[np.float64],
    scores: NDArray[np.float64],
    token: str = "",
    sensor: Sequence[int] = (),
) -> tuple[dict[str, Any] | None, NDArray[np.uint16]]:
    """Choose and describe them.

    Args:
        program: that was simulated.
        tests: the test set.
        floats: logits (N, C) of the float model.
        scores: (N, C), of the integers.
        token: how tokens are encoded.
        sensor: that they come from.

    Returns:
        ``wrong``, how often the integers err; and ``shown``: number, classes by number, what either says and how sure
        it is, whether both ``differs``, and the picture's `marks`, None where it has none. The marks (n, 4): which of
        those that are shown, column, row and shade. None, and none, where a sample has more decisions than one.
    """
    labels, samples = tests.labels(), tests.samples
    none = np.zeros((0, 4), dtype=np.uint16)
    if len(labels) != len(samples):
        return None, none
    said, wanted = scores.argmax(1), floats.argmax(1)
    shares = [softmax(side, axis=1) for side in (scores, floats)]
    sure = shares[0].max(1) if len(labels) else np.zeros(0)
    wrong, apart = np.flatnonzero(said != labels), np.flatnonzero(said != wanted)
    chosen = [[int(n) for n in sorted(some, key=lambda n: (-sure[n], n))[:MOST]] for some in (wrong, apart)]
    shown: list[dict[str, Any]] = []
    parts, source = [none], program.value_input
    channels = source.event_shape[0] if source.event_shape else source.code_range[1] + 1
    for number in dict.fromkeys(chosen[0] + chosen[1]):
        found = marks(*samples[number], channels, token, sensor)
        picture = None if found is None else {key: value for key, value in found.items() if key != "cells"}
        if found is not None:
            if duration_s(program, [samples[number]]) is None:
                picture = {**(picture or {}), "seconds": None}
            cells = found["cells"].astype(np.uint16)
            parts.append(np.insert(cells, 0, len(shown), axis=1))
        shown.append(
            {
                "sample": number,
                "label": int(labels[number]),
                "integer": int(said[number]),
                "integer_share": float(shares[0][number, said[number]]),
                "float": int(wanted[number]),
                "float_share": float(shares[1][number, wanted[number]]),
                "differs": bool(said[number] != wanted[number]),
                "picture": picture,
            }
        )
    return {"wrong": len(wrong), "shown": shown}, np.concatenate(parts)


def encoding_of(task: Any) -> tuple[str, tuple[int, ...]]:
    """How a task of events encodes them, and the sensor that they come from; nothing of other tasks."""
    return getattr(task, "token", ""), tuple(getattr(task, "grid", ()))
