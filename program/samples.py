"""Samples: what a program reads, as its integers, and the trace of what it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .arrays import integers
from .clock import check_order, gaps
from .errors import ProgramError
from .graph import Program
from .steps import whole_steps

__all__ = ["Sample", "codes", "shortest"]


def codes(
    program: Program, sample: Sample, index: int = 0, empty_steps: str = "refuse"
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Tokens (L, 1) or quantized dense values (L, d), and the gaps (L, 1) of each gap input by name; all int64.

    Raises:
        ProgramError: a sample that the program cannot take (``encode``).
    """
    values, between = encode(program, sample, index, empty_steps)
    return program.value_input.codes(values), between


def shortest(samples: Sequence[Sample], count: int) -> list[int]:
    """The numbers of the ``count`` samples with the fewest events, ascending: for backends that take long."""
    return sorted(sorted(range(len(samples)), key=lambda index: len(samples[index][1]))[:count])


Sample = tuple[np.ndarray, np.ndarray]
"""Tokens (L,) or dense values (L, size), and times (L,) in integer microseconds, not decreasing.

A clocked program that knows the length of its steps (``Program.step_us``) wants one row a step.
"""


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
        series: the values of the program's ``series``, (events at its rate, channels) int64; None where it has none.
    """

    logits: np.ndarray
    incomplete: bool
    saturations: dict[str, int]
    clipped_gaps: dict[str, int]
    values: dict[str, np.ndarray] = field(default_factory=dict)
    states: dict[str, np.ndarray] = field(default_factory=dict)
    series: np.ndarray | None = None


def check_shapes(program: Program, sample: Sample) -> Sample:
    """Values as float64 or tokens as int64, and times as int64, in the program's shapes; booleans are values 0 and 1.

    Raises:
        ProgramError: wrong shapes, tokens or times that are not integers, values that are not real numbers, or masked
            entries.
    """
    source = program.value_input
    times = integers("times", sample[1])
    values, wanted = source.accept(sample[0]), (times.size, *source.event_shape)
    if times.ndim != 1 or values.shape != wanted:
        raise ProgramError(
            f"values have shape {values.shape} and times {times.shape}; {wanted} and one time an event are expected"
        )
    return values, times


def check(program: Program, sample: Sample, index: int, empty_steps: str = "refuse") -> Sample:
    """As ``check_shapes``; also every token, value and time, and of a clocked program that no step is missing.

    Steps are looked at where the program knows their length (``Program.step_us``). ``empty_steps="fill"`` gives rows
    of zeros for those that are missing (``steps.whole_steps``).

    Raises:
        ProgramError: names the sample, the event and the fix.
    """
    try:
        values, times = check_shapes(program, sample)
        check_order(times)
    except ProgramError as error:
        raise ProgramError(f"sample {index}: {error}") from None
    _check_values(program, values, index)
    duration = int(times[-1]) - int(times[0]) if times.size else 0
    if duration <= program.max_duration_us and program.step_us is not None:
        try:
            values, times, _ = whole_steps(values, times, program.step_us, empty_steps)
        except ProgramError as error:
            raise ProgramError(f"sample {index}: {error}") from None
    if duration > program.max_duration_us or times.size > program.max_events:
        raise ProgramError(
            f"sample {index}: {times.size} events in {duration} us exceed what 64-bit sums hold, "
            f"{program.max_events} events and {program.max_duration_us} us; cut the recording"
        )
    return values, times


def _check_values(program: Program, values: np.ndarray, index: int) -> None:
    wrong, reason = program.value_input.refused(values)
    if wrong.any():
        event = int(np.argmax(wrong))
        raise ProgramError(f"sample {index}, event {event}: {values[event]} {reason}; encode it as in training")


def encode(
    program: Program, sample: Sample, index: int = 0, empty_steps: str = "refuse"
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Check one sample and cut it into the program's inputs: values (L, channels), gaps (L, 1) by node name."""
    values, times = check(program, sample, index, empty_steps)
    between = {node.name: gaps(times, node.unit_us, program.pairing)[:, None] for node in program.gap_inputs}
    if program.pairing == "next":
        values = values[:-1]
    return values.reshape(len(values), -1 if len(values) else program.value_input.channels), between
