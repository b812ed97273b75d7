"""What a program would say while a recording is heard, and how long an event takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...program import Program
from ...program.samples import Sample
from .plan.make import make_plan
from .simulator import Simulator

MOST_TIMED = 5000
"""Events that are timed."""
WARM = 50
"""Events before them."""


def running(program: Program, samples: Sequence[Sample], heard: np.ndarray) -> np.ndarray:
    """The logits after the first ``heard`` events of each sample, in one pass.

    Args:
        program: any.
        samples: N of them.
        heard: (N, K) int64, ascending.

    Returns:
        (N, K, classes) int64.
    """
    simulator = Simulator(program, plan=make_plan(program, trace=False))
    found = np.zeros((*heard.shape, len(program.class_names)), dtype=np.int64)
    for row, (values, times) in enumerate(samples):
        simulator.reset()
        at = 0
        for column, end in enumerate(heard[row].tolist()):
            if end > at:
                simulator.advance(values[at:end], times[at:end])
                at = end
            found[row, column] = simulator.read()
    return found


def duration_s(program: Program, samples: Sequence[Sample]) -> float | None:
    """Seconds from the first event to the last, of all samples together; None where steps have no length."""
    if program.clocked and program.step_us is None:
        return None
    return float(sum(int(times[-1]) - int(times[0]) for _, times in samples if len(times))) / 1e6


def latency(program: Program, sample: Sample, clock: Callable[[], int] = time.perf_counter_ns) -> dict[str, Any] | None:
    """How long the simulator takes for an event that comes alone, its logits read, the call from Python included.

    Args:
        program: any.
        sample: whose first `MOST_TIMED` events are stepped through, after `WARM` of them; None is told of fewer.
        clock: nanoseconds.

    Returns:
        ``events`` that were timed, ``median_us`` and ``p99_us`` of one, and ``real_time``: the time that they cover in
        the recording as a multiple of the time that they took; None where that is not known.
    """
    values, times = sample
    end = min(len(times), WARM + MOST_TIMED)
    if end <= WARM:
        return None
    simulator, took = Simulator(program), np.zeros(end - WARM, dtype=np.int64)
    dense = bool(program.value_input.event_shape)
    for place in range(end):
        value, moment = values[place] if dense else int(values[place]), int(times[place])
        start = clock()
        simulator.step(value, moment)
        if place >= WARM:
            took[place - WARM] = clock() - start
    spanned = duration_s(program, [(values[WARM - 1 : end], times[WARM - 1 : end])])
    return {
        "events": len(took),
        "median_us": float(np.median(took)) / 1000,
        "p99_us": float(np.percentile(took, 99)) / 1000,
        "real_time": spanned * 1e9 / max(int(took.sum()), 1) if spanned else None,
    }
