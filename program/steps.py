"""Clocked programs: from time stamps to one row a step, and from events to such rows."""

from __future__ import annotations

import numpy as np

from .clock import LONGEST_US, check_order
from .errors import ProgramError

EMPTY_STEPS = ("refuse", "fill")
"""What becomes of steps that no event names: an error, or rows of zeros."""
MOST_CELLS = 1 << 26
"""Numbers of the rows of one call where steps are filled in: 512 MiB."""


def count_events(channels: np.ndarray, times_us: np.ndarray, step_us: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Events as the host of a clocked program counts them: a row for each step that holds any.

    A step begins with the first event and every ``step_us`` after it. The rows are a sample of a clocked program that
    fills in empty steps, and of an event program with dense input; memory grows with the events, not with the gaps.

    Shapes: ``channels`` (L,) in [0, size), ``times_us`` (L,) not decreasing -> counts (n, size) float64, times (n,)
    int64 microseconds, n <= L.

    Raises:
        ProgramError: times that go backwards, or a channel outside the input.
    """
    check_order(times_us)
    if channels.shape != times_us.shape or times_us.ndim != 1:
        raise ProgramError(f"channels {channels.shape} and times {times_us.shape} differ; give one of each an event")
    if not len(times_us):
        return np.zeros((0, size)), np.zeros(0, dtype=np.int64)
    if channels.min() < 0 or channels.max() >= size:
        raise ProgramError(
            f"channels {channels.min()} to {channels.max()} lie outside [0, {size}); choose another size"
        )
    steps, row = np.unique((times_us - times_us[0]) // step_us, return_inverse=True)
    counts = np.bincount(row * size + channels, minlength=len(steps) * size).reshape(len(steps), size)
    return counts.astype(np.float64), times_us[0] + steps * step_us


def whole_steps(
    values: np.ndarray, times_us: np.ndarray, step_us: int, empty_steps: str = "refuse", last_us: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row for every step.

    Args:
        values: (L, size) dense rows or (L,) tokens, one a time.
        times_us: (L,) int64, not decreasing.
        step_us: of the program.
        empty_steps: of ``EMPTY_STEPS``.
        last_us: the last time that a stream has taken; None at its start.

    Returns:
        values (T, ...), times (T,), and of each event its row (L,).

    Raises:
        ProgramError: times that go backwards, are no multiple of the step or share one, steps that are missing where
            they are refused, or too many of them; names the event.
    """
    if empty_steps not in EMPTY_STEPS:
        raise ProgramError(f"empty_steps={empty_steps!r} is unknown; use one of {', '.join(EMPTY_STEPS)}")
    if not len(times_us):
        return values, times_us, np.zeros(0, dtype=np.int64)
    first = int(times_us[0]) if last_us is None else last_us
    check_order(times_us, last_us)
    if int(times_us[-1]) - first > LONGEST_US:
        raise ProgramError(f"event {len(times_us) - 1} lies more than {LONGEST_US} us later; cut the recording")
    since = times_us - first
    uneven = since % step_us != 0
    if uneven.any():
        event = int(np.argmax(uneven))
        raise ProgramError(
            f"event {event} lies {since[event]} us after the {'first' if last_us is None else 'last'} one, no multiple "
            f"of the program's step of {step_us} us; count the events of each step first (program.steps.count_events)"
        )
    rows = since // step_us - (last_us is not None)
    apart = np.diff(rows, prepend=-1)
    if (apart == 0).any():
        event = int(np.argmax(apart == 0))
        raise ProgramError(
            f"event {event} falls into the same step of {step_us} us as the one before it; add up what a step holds"
        )
    if int(rows[-1]) == len(rows) - 1:
        return values, times_us, rows
    event = int(np.argmax(apart > 1))
    where = f"event {event} comes {apart[event]} steps of {step_us} us after the one before it"
    if empty_steps == "refuse":
        raise ProgramError(
            f"{where}, and a clocked program takes every step; give empty steps as rows of zeros, or let them be "
            "filled in with empty_steps='fill'"
        )
    if values.ndim == 1:
        raise ProgramError(f"{where}, and no token stands for an empty step; give every step")
    if (int(rows[-1]) + 1) * values.shape[1] > MOST_CELLS:
        event = int(np.argmax(apart))
        raise ProgramError(
            f"{int(rows[-1]) + 1} steps of {values.shape[1]} channels are more than {MOST_CELLS} numbers, and event "
            f"{event} comes {apart[event]} steps after the one before it; cut the recording there"
        )
    filled = np.zeros((int(rows[-1]) + 1, *values.shape[1:]), dtype=values.dtype)
    filled[rows] = values
    start = first + (0 if last_us is None else step_us)
    return filled, start + step_us * np.arange(len(filled), dtype=np.int64), rows
