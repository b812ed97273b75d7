"""Whole samples through the compiled machine, in blocks or event by event, with identical integers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...errors import PumiceError
from ...files import atomic_folder, write_json
from ...program import Program
from ...program.nodes import QUERY
from ...program.samples import Sample, Trace, check
from ...terminal import progress
from .arenas import Plan
from .plan.make import make_plan
from .plan.planner import BLOCK
from .rows import Key, Rows, RowsInFiles
from .simulator import Simulator

CHUNK = 1 << 16
"""Events that are brought into the machine's types at a time where nothing is kept of each."""
VALUES, STATES = "values", "states"
TOLD = ("logits", "incomplete", "saturations", "clipped_gaps")
"""What ``trace.json`` has of a sample."""

Kept = TypeVar("Kept", bound=Rows)


def run(
    program: Program,
    samples: Sequence[Sample],
    *,
    trace: bool = False,
    threads: int | None = None,
    empty_steps: str = "refuse",
    folder: Path | None = None,
) -> list[Trace]:
    """Run whole samples, each from the zero state, in parallel over samples; one trace a sample, in their order.

    With ``trace=True`` every edge and state is kept, but for the running values behind a read-out (``run_stepwise``
    has those). ``empty_steps`` as in ``reference.run``. With ``folder`` they are kept there, in ``.npy`` files of a
    folder for each sample, and the trace's arrays are read-only and mapped: memory holds ``rows.HELD`` bytes of each
    sample that runs. The folder appears when all is written.

    Raises:
        ProgramError: as ``reference.run``.
        PumiceError: the folder exists already, or cannot be written.
    """
    trace = trace or folder is not None
    by_block = trace or program.series is not None
    return _run(program, samples, trace, threads, BLOCK if by_block else CHUNK, empty_steps, folder)


def run_stepwise(
    program: Program,
    samples: Sequence[Sample],
    *,
    trace: bool = False,
    threads: int | None = None,
    empty_steps: str = "refuse",
    folder: Path | None = None,
) -> list[Trace]:
    """The same samples one event at a time, as a live stream would come; with the running values when traced."""
    return _run(program, samples, trace or folder is not None, threads, 1, empty_steps, folder)


def _run(
    program: Program,
    samples: Sequence[Sample],
    trace: bool,
    threads: int | None,
    size: int,
    empty_steps: str,
    folder: Path | None,
) -> list[Trace]:
    checked = [check(program, sample, number, empty_steps) for number, sample in enumerate(samples)]
    if folder is not None:
        return _run_to(folder, program, checked, threads, size)

    def end(number: int, found: Trace, rows: Rows) -> None:
        _fill(program, found, rows.arrays(), trace)

    return _run_all(program, checked, trace, threads, size, lambda number, channels: Rows(channels), end)


def _run_to(folder: Path, program: Program, checked: Sequence[Sample], threads: int | None, size: int) -> list[Trace]:
    """Traces whose rows lie in files of ``folder``."""
    names = [f"{number:0{len(str(len(checked) - 1))}d}" for number in range(len(checked))]
    kept: dict[int, RowsInFiles] = {}
    with atomic_folder(folder) as fresh:

        def begin(number: int, channels: Mapping[Key, int]) -> RowsInFiles:
            kept[number] = RowsInFiles(channels, fresh / names[number])
            return kept[number]

        def end(number: int, found: Trace, rows: RowsInFiles) -> None:
            rows.close()
            told = asdict(found) | {"logits": found.logits.tolist()}
            write_json(fresh / names[number] / "trace.json", {key: told[key] for key in TOLD})

        traces = _run_all(program, checked, True, threads, size, begin, end)
    try:
        for number, found in enumerate(traces):
            _fill(program, found, kept[number].mapped(folder / names[number]), True)
    except OSError as error:
        raise PumiceError(
            f"the traces are in {folder}, but not all can be mapped at once ({error.strerror or error}); read its "
            "files one by one, or trace fewer samples"
        ) from error
    return traces


def _run_all(
    program: Program,
    checked: Sequence[Sample],
    trace: bool,
    threads: int | None,
    size: int,
    begin: Callable[[int, Mapping[Key, int]], Kept],
    end: Callable[[int, Trace, Kept], None],
) -> list[Trace]:
    """What each sample did; ``begin`` makes a place for the rows that are kept of one, and ``end`` is given them."""
    plan = make_plan(program, trace=trace)
    workers = max(1, min(threads or os.cpu_count() or 1, len(checked)))

    def share(worker: int) -> list[Trace]:
        simulator, traces = Simulator(program, plan=plan), []
        for number in range(worker, len(checked), workers):
            rows = begin(number, _channels(program, plan, size, trace))
            traces.append(_run_one(simulator, checked[number], size, rows))
            end(number, traces[-1], rows)
            step()
        return traces

    what = "simulation" if size > 1 else "simulation by single events"
    with progress(f"{what}, samples", len(checked)) as step:
        if workers == 1:
            return share(0)  # a thread takes as long to start as a short recording to run
        with ThreadPoolExecutor(workers) as pool:
            shares = list(pool.map(share, range(workers)))
    return [shares[number % workers][number // workers] for number in range(len(checked))]


def _channels(program: Program, plan: Plan, size: int, trace: bool) -> dict[Key, int]:
    """Channels of the edges and states of which every row is kept; chunks of one event are read out as well."""
    wanted = [name for name in plan.edges if trace and (size == 1 or program.rates[name] != QUERY)]
    if program.series is not None and program.series not in wanted:
        wanted.append(program.series)
    edges: dict[Key, int] = {(VALUES, name): plan.edges[name].channels for name in wanted}
    return edges | {(STATES, name): place.channels for name, place in plan.states.items()}


def _run_one(simulator: Simulator, sample: Sample, size: int, kept: Rows) -> Trace:
    """Run one sample in chunks of ``size`` events and gather what it did; chunks of one are read out as well."""
    simulator.reset()
    (values, times), program = sample, simulator.program
    rates, source = program.rates, program.value_input.name
    for start in range(0, len(times), size):
        stop = start + size
        simulator.advance(values[start:stop], times[start:stop])
        if size == 1:
            simulator.read()
        for kind, name in kept.keys:
            if kind == STATES:
                kept.add((kind, name), simulator.state_rows(name))
            elif rates[name] != QUERY or len(simulator.edge_rows(source)):
                kept.add((kind, name), simulator.edge_rows(name))
    return Trace(
        logits=simulator.read(),
        incomplete=simulator.incomplete,
        saturations=simulator.saturations,
        clipped_gaps=simulator.clipped_gaps,
    )


def _fill(program: Program, found: Trace, arrays: Mapping[Key, np.ndarray], trace: bool) -> None:
    """Give a trace its rows."""
    found.series = None if program.series is None else arrays[VALUES, program.series]
    if trace:
        found.values = {name: rows for (kind, name), rows in arrays.items() if kind == VALUES}
        found.states = {name: rows for (kind, name), rows in arrays.items() if kind == STATES}
