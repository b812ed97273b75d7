"""Samples as programs take them, from plain arrays or from torch batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import PumiceError
from ..program import Program, ProgramError
from ..program.samples import Sample
from ..train.data.batch import PaddedBatch
from ..train.data.inputs import Inputs
from .presets import kind_of

STEP_US = 1000
"""Of a clocked network whose steps have no stated length."""
_WANTED = "give a list of (values, times_us) pairs, or torch batches of pumice's loaders"


def as_samples(program: Program, given: Iterable[Any]) -> list[Sample]:
    """One (values, times) pair a sample, as arrays; whether ``program`` can take them is for the backends to check.

    Args:
        program: says which gap belongs to an event, and how long a step is.
        given: any of

            - (values, times) pairs of arrays, tensors or lists: tokens (L,) or vectors (L, F), and times (L,) in
              integer microseconds, not decreasing;
            - of a clocked network the vectors (T, F) alone, one a step, or an array (N, T, F) of N samples;
            - torch batches (`EventBatch`, `BlockBatch`, `Inputs`). Their times are counted from the first event, which
              is all that a program reads of them.

    Raises:
        PumiceError: anything else; names the sample and what is wrong with it.
    """
    if isinstance(given, (str, bytes, dict)) or not isinstance(given, Iterable):
        raise PumiceError(f"samples cannot be {kind_of(given)}; {_WANTED}")
    if isinstance(given, (Inputs, PaddedBatch)):
        given = [given]
    samples: list[Sample] = []
    for entry in given:
        if isinstance(entry, Inputs):
            samples += _rows(program, entry)
        elif isinstance(entry, PaddedBatch):
            samples += _rows(program, entry.padded())
        else:
            samples.append(_pair(program, entry, len(samples)))
    if not samples:
        raise PumiceError(f"no samples are given; {_WANTED}")
    return samples


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Tell what a program refuses as any other mistake: by a `PumiceError`."""
    try:
        yield
    except ProgramError as error:
        raise PumiceError(str(error)) from error


def decide(logits: np.ndarray, scale: float) -> tuple[int, np.ndarray, float]:
    """The class of the highest logit (ties go to the lowest), the scores, and how far the next one lies below."""
    scores, best = logits * scale, int(np.argmax(logits))
    others = np.delete(scores, best)
    return best, scores, float(scores[best] - others.max()) if len(others) else 0.0


def as_array(given: Any) -> np.ndarray:
    """A tensor, list or array as an array; lists of unequal things become arrays of objects, or raise ValueError."""
    return given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asanyarray(given)


def is_pair(entry: Any) -> bool:
    """Whether ``entry`` is (values, times), in whatever form."""
    return isinstance(entry, (tuple, list)) and len(entry) == 2 and all(map(_has_axis, entry))


def _has_axis(part: Any) -> bool:
    return isinstance(part, (list, tuple)) or getattr(part, "ndim", 0) > 0


def _pair(program: Program, entry: Any, number: int) -> Sample:
    if is_pair(entry):
        with told():
            return _array(entry[0], f"sample {number}: values"), _array(entry[1], f"sample {number}: times")
    if getattr(entry, "ndim", 0) == 2 and program.clocked:
        values = as_array(entry)
        return values, (program.step_us or STEP_US) * np.arange(len(values), dtype=np.int64)
    raise PumiceError(f"sample {number} is {kind_of(entry)} and no pair of values and times; {_WANTED}")


def _array(given: Any, what: str) -> np.ndarray:
    try:
        array = as_array(given)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise PumiceError(f"{what} are no array of numbers ({reason}); give one of equal rows") from None
    if array.dtype.kind == "O":
        raise PumiceError(f"{what} are a list of unequal things; give an array of numbers")
    return array


def _rows(program: Program, inputs: Inputs) -> list[Sample]:
    """The samples of a padded batch."""
    values, found = as_array(inputs.values), []
    exact = inputs.dt if inputs.pool_dt is None else inputs.pool_dt
    gaps = None if exact is None else np.rint(as_array(exact).astype(np.float64) * 1000).astype(np.int64)
    for row, length in enumerate(as_array(inputs.lengths).tolist()):
        kept = values[row, :length]
        if gaps is None:
            times = (program.step_us or STEP_US) * np.arange(length, dtype=np.int64)
        else:
            times = np.cumsum(gaps[row, :length])
            if program.pairing == "next" and length:  # the last event has no gap behind it and is not in the batch
                kept, times = np.concatenate([kept, kept[-1:]]), np.concatenate([[0], times])
        found.append((kept, times))
    return found
