"""Samples: what a program reads, as its integers, and the trace of what it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .arithmetic import round_half_up_real
from .clock import gaps
from .errors import ProgramError
from .graph import Program
from .nodes import DenseInput, TokenInput

__all__ = ["Sample", "codes", "shortest"]


def codes(program: Program, sample: Sample, index: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Tokens (L, 1) or quantized dense values (L, d), and the gaps (L, 1) of each gap input by name; all int64.

    Raises:
        ProgramError: a sample that the program cannot take (``encode``).
    """
    values, between = encode(program, sample, index)
    source = program.value_input
    if isinstance(source, DenseInput):
        scaled = round_half_up_real(values * 2.0**source.output.frac)
        values = np.clip(scaled, source.output.min, source.output.max).astype(np.int64)
    return values, between


def shortest(samples: Sequence[Sample], count: int) -> list[int]:
    """The numbers of the ``count`` samples with the fewest events, ascending: for backends that take long."""
    return sorted(sorted(range(len(samples)), key=lambda index: len(samples[index][1]))[:count])


Sample = tuple[np.ndarray, np.ndarray]
"""Tokens (L,) or dense values (L, size), and times (L,) in integer microseconds, not decreasing."""


@dataclass
class Trace:
    """What one sample did.

    Attributes:
        logits: the read-out's scores after the last event, (classes,) int64.
        incomplete: no window was complete, so that a read-out saw no event.
        saturations: clipped components by node, over all stores at valid events; behind a read-out only the last
            read counts. Every node has an entry.
        clipped_gaps: gaps above the longest that the decays hold, by DiagonalSSM node.
        values: every edge, (events at its rate, channels) int64; behind a read-out one row an input event, what is
            read right after it. Empty unless traced.
        states: by node, what it holds beside its output after each event, (events, channels) int64: real, then
            imaginary codes of a DiagonalSSM; u, then w of neurons. Empty unless traced.
        series: the values of the program's ``series`` at every step, (events, channels) int64; None where it has none.
    """

    logits: np.ndarray
    incomplete: bool
    saturations: dict[str, int]
    clipped_gaps: dict[str, int]
    values: dict[str, np.ndarray] = field(default_factory=dict)
    states: dict[str, np.ndarray] = field(default_factory=dict)
    series: np.ndarray | None = None


def check_shapes(program: Program, sample: Sample) -> Sample:
    """Values and times as arrays of the program's shapes and kinds.

    Raises:
        ProgramError: wrong shapes, tokens or times that are not integers, or values that are not real numbers.
    """
    values, times = np.asarray(sample[0]), np.asarray(sample[1])
    source = program.value_input
    dense = isinstance(source, DenseInput)
    wanted = (times.size, source.size) if dense else (times.size,)
    if times.ndim != 1 or values.shape != wanted:
        raise ProgramError(
            f"values have shape {values.shape} and times {times.shape}; {wanted} and one time an event are expected"
        )
    for what, array in (("times", times), *(() if dense else (("tokens", values),))):
        if array.dtype.kind not in "iu" and array.size:
            raise ProgramError(f"{what} are {array.dtype}; give integers")
    if dense and values.dtype.kind not in "iuf":
        raise ProgramError(f"values are {values.dtype}; give real numbers")
    if dense:
        return values.astype(np.float64), times.astype(np.int64)
    return values.astype(np.int64), times.astype(np.int64)


def check(program: Program, sample: Sample, index: int) -> Sample:
    """As ``check_shapes``; also every token, value and time.

    Raises:
        ProgramError: names the sample, the event and the fix.
    """
    try:
        values, times = check_shapes(program, sample)
        gaps(times, 1)
    except ProgramError as error:
        raise ProgramError(f"sample {index}: {error}") from None
    duration = int(times[-1]) - int(times[0]) if times.size else 0
    if duration > program.max_duration_us or times.size > program.max_events:
        raise ProgramError(
            f"sample {index}: {times.size} events in {duration} us exceed what 64-bit sums hold, "
            f"{program.max_events} events and {program.max_duration_us} us; cut the recording"
        )
    source = program.value_input
    if isinstance(source, TokenInput):
        wrong, reason = (values < 0) | (values >= source.vocab), f"lies outside [0, {source.vocab})"
    else:
        wrong, reason = ~np.isfinite(values).all(axis=1), "holds NaN or infinity"
    if wrong.any():
        event = int(np.argmax(wrong))
        raise ProgramError(f"sample {index}, event {event}: {values[event]} {reason}; encode it as in training")
    return values, times


def encode(program: Program, sample: Sample, index: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Check one sample and cut it into the program's inputs: values (L, channels), gaps (L, 1) by node name."""
    values, times = check(program, sample, index)
    between = {node.name: gaps(times, node.unit_us, program.pairing)[:, None] for node in program.gap_inputs}
    if program.pairing == "next":
        values = values[:-1]
    return values.reshape(len(values), -1 if len(values) else program.value_input.channels), between
