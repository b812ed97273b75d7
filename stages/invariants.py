"""What holds of the figures of every run, checked before they are written."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FiguresError
from ..program.samples import Sample

SPLITS = ("validation", "test")
PROTOCOLS = "other_protocols"
Z = NormalDist().inv_cdf(0.975)
"""Standard errors to either end of an interval of 95 %."""


def check_figures(figures: Mapping[str, Any]) -> None:
    """Refuse figures that contradict themselves, or each other where they are of the same split.

    Args:
        figures: what a stage reports; entries of `train.evaluate.figures_of` lie anywhere in it.

    Raises:
        FiguresError: names the entry.
    """
    seen: dict[tuple[str, ...], tuple[str, list[int]]] = {}
    for path, entry in _entries(figures):
        where = ".".join(path)
        _check_entry(where, entry)
        if path[-1] in SPLITS:
            split = path[path.index(PROTOCOLS) :] if PROTOCOLS in path else path[-1:]
            counts = [sum(row) for row in entry["confusion"]]
            first, expected = seen.setdefault(split, (where, counts))
            _require(counts == expected, where, f"its samples by class are {counts}, those of {first} {expected}")


def check_labels(where: str, figures: Mapping[str, Any], labels: NDArray[Any]) -> None:
    """Refuse figures (of `train.evaluate.figures_of`) that were not measured on these classes (M,), or values (M, F).

    Raises:
        FiguresError: names the entry.
    """
    if "confusion" not in figures:
        _require(figures["samples"] == len(labels), where, f"{figures['samples']} values, the data have {len(labels)}")
        return
    counts = [sum(row) for row in figures["confusion"]]
    expected = np.bincount(labels, minlength=len(counts)).tolist()
    _require(counts == expected, where, f"its samples by class are {counts}, the data have {expected}")


def check_apart(task: str, validation: Sequence[Sample], test: Sequence[Sample]) -> str | None:
    """Refuse a validation split that is made of test samples.

    Returns:
        a sentence where some are in both, as data sets may have doubles; None where none are.

    Raises:
        FiguresError: half of the validation samples, or more, are test samples.
    """
    held, tested = Counter(map(_digest, validation)), Counter(map(_digest, test))
    shared = sum(number for sample, number in held.items() if sample in tested)
    sentence = f"{shared} of {len(validation)} validation samples of {task} are test samples as well"
    if 2 * shared >= len(validation):
        raise FiguresError(f"{sentence}: nothing can be chosen by them; hold validation out of the training data")
    return sentence if shared else None


def _digest(sample: Sample) -> bytes:
    values, times = (np.ascontiguousarray(part) for part in sample)
    return hashlib.sha256(values.tobytes() + times.tobytes()).digest()


def _entries(figures: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every entry of `train.evaluate.figures_of`, with the keys that lead to it."""
    if not isinstance(figures, Mapping):
        return
    if "confusion" in figures:
        yield path, figures
    for key, value in figures.items():
        yield from _entries(value, (*path, str(key)))


def _check_entry(where: str, entry: Mapping[str, Any]) -> None:
    samples, correct, accuracy = entry["samples"], entry["correct"], entry["accuracy"]
    rows: Sequence[Sequence[int]] = entry["confusion"]
    right = [row[index] for index, row in enumerate(rows)]
    _require(0 <= correct <= samples, where, f"{correct} of {samples} are correct")
    _require(accuracy == correct / samples, where, f"accuracy {accuracy} is not {correct} of {samples}")
    _require(sum(map(sum, rows)) == samples, where, f"the confusion matrix does not hold {samples} samples")
    _require(sum(right) == correct, where, f"the confusion matrix does not have {correct} on its diagonal")
    low, high = entry["accuracy_95"]
    _require(low <= accuracy <= high, where, f"accuracy {accuracy} lies outside its interval, {low} to {high}")
    for bound in (low, high):  # by its definition: what lies z standard errors, of the bound, from what was measured
        error = samples * (accuracy - bound) ** 2 - Z**2 * bound * (1 - bound)
        _require(abs(error) < 1e-6, where, f"{bound} bounds no 95 % interval of {correct} of {samples}")
    by_class = [hit / sum(row) if sum(row) else None for hit, row in zip(right, rows, strict=True)]
    told = list(entry["accuracy_by_class"].values())
    _require(told == by_class or len(told) < len(rows), where, "accuracies by class are not those of the matrix")
    loss = entry["loss"]
    _require(math.isfinite(loss) and loss >= 0, where, f"the loss is {loss}")


def _require(holds: bool, where: str, sentence: str) -> None:
    if not holds:
        raise FiguresError(f"figures of {where} contradict themselves: {sentence}; please report this")
