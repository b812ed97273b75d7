"""Whole samples through the compiled machine, in blocks or event by event, with identical integers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...program import Program
from ...program.nodes import QUERY
from ...program.samples import Sample, Trace, check
from ...terminal import progress
from .arenas import Plan
from .plan.make import make_plan
from .plan.planner import BLOCK
from .simulator import Simulator

CHUNK = 1 << 16
"""Events that are brought into the machine's types at a time where nothing is kept of each."""


def run(
    program: Program,
    samples: Sequence[Sample],
    *,
    trace: bool = False,
    threads: int | None = None,
    empty_steps: str = "refuse",
) -> list[Trace]:
    """Run whole samples, each from the zero state, in parallel over samples; one trace a sample, in their order.

    With ``trace=True`` every edge and state is kept, but for the running values behind a read-out (``run_stepwise``
    has those). ``empty_steps`` as in ``reference.run``.

    Raises:
        ProgramError: as ``reference.run``.
    """
    by_block = trace or program.series is not None
    return _run(program, samples, trace, threads, BLOCK if by_block else CHUNK, empty_steps)


def run_stepwise(
    program: Program,
    samples: Sequence[Sample],
    *,
    trace: bool = False,
    threads: int | None = None,
    empty_steps: str = "refuse",
) -> list[Trace]:
    """The same samples one event at a time, as a live stream would come; with the running values when traced."""
    return _run(program, samples, trace, threads, 1, empty_steps)


def _run(
    program: Program, samples: Sequence[Sample], trace: bool, threads: int | None, size: int, empty_steps: str
) -> list[Trace]:
    checked = [check(program, sample, number, empty_steps) for number, sample in enumerate(samples)]
    plan = make_plan(program, trace=trace)
    workers = max(1, min(threads or os.cpu_count() or 1, len(checked)))

    def share(worker: int) -> list[Trace]:
        simulator, found = Simulator(program, plan=plan), []
        for sample in checked[worker::workers]:
            found.append(_run_one(simulator, plan, sample, size, trace))
            step()
        return found

    what = "simulation" if size > 1 else "simulation by single events"
    with progress(f"{what}, samples", len(checked)) as step, ThreadPoolExecutor(workers) as pool:
        shares = list(pool.map(share, range(workers)))
    return [shares[number % workers][number // workers] for number in range(len(checked))]


def _run_one(simulator: Simulator, plan: Plan, sample: Sample, size: int, trace: bool) -> Trace:
    """Run one sample in chunks of ``size`` events and gather what it did; chunks of one are read out as well."""
    simulator.reset()
    (values, times), program = sample, simulator.program
    rates, series, source = program.rates, program.series, program.value_input.name
    wanted = [name for name in plan.edges if trace and (size == 1 or rates[name] != QUERY)]
    if series is not None and series not in wanted:
        wanted.append(series)
    kept: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    states: dict[str, list[np.ndarray]] = {name: [] for name in plan.states}
    for start in range(0, len(times), size):
        stop = start + size
        simulator.advance(values[start:stop], times[start:stop])
        if size == 1:
            simulator.read()
        for name, rows in kept.items():
            if rates[name] != QUERY or len(simulator.edge_rows(source)):
                rows.append(simulator.edge_rows(name))
        for name, rows in states.items():
            rows.append(simulator.state_rows(name))
    logits = simulator.read()
    edges = {name: _stack(rows, plan.edges[name].channels) for name, rows in kept.items()}
    return Trace(
        logits=logits,
        incomplete=simulator.incomplete,
        saturations=simulator.saturations,
        clipped_gaps=simulator.clipped_gaps,
        values=edges if trace else {},
        states={name: _stack(rows, plan.states[name].channels) for name, rows in states.items()},
        series=None if series is None else edges[series],
    )


def _stack(rows: list[np.ndarray], channels: int) -> np.ndarray:
    return np.concatenate([np.zeros((0, channels), dtype=np.int64), *rows])
