"""Time a step of a Lava bundle, by its parts, beside the simulator and the reference.

    python benchmarks/lava.py [--models s5/tiny s5/shd-medium adlif/tiny adlif/ecg] [--events 1000] [--cold]

One Lava step is one event, or one time step of a clocked network. All ways take one sample and give the logits after
each of its events; those after the last are compared first. Lava also writes them to files and carries every event
through ports between processes; the simulator's `step` is called once an event, its `step_many` and the reference once.

CPU time of Lava is that of all its processes. As every step waits for every process, the clock on the wall is told
beside it; other load on the machine shows there. Lava takes a long and a short sample, the best of some rounds each:
the difference is the time of the steps, the rest is the start (imports, processes, ports). Where Lava cannot run, its
rows say why. With --cold the environment is also built in an empty cache, as at first use.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from programs import CLOCKED, STEP_US, make_network, make_s5, make_stream
from pumice.export.lava import LavaUnavailable, ensure_environment, run_lava
from pumice.hw_sim.simulator import Simulator
from pumice.program import Program, reference
from pumice.program.samples import Sample
from rich.console import Console
from rich.table import Table
from timing import parse, parser

SHORT = 20
PARTS = {"layers": "Lava, one process a layer", "fused": "Lava, one process", "stock": "Lava, its own Dense"}


@dataclass(frozen=True)
class Seconds:
    """CPU time, that of ended child processes included, and wall time."""

    cpu: float
    wall: float

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(self.cpu - other.cpu, self.wall - other.wall)


def now() -> Seconds:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Seconds(sum(one.ru_utime + one.ru_stime for one in used), time.perf_counter())


def seconds_of(call: Callable[[], object], rounds: int) -> Seconds:
    """The least of each over the rounds."""
    taken = []
    for _ in range(rounds):
        start = now()
        call()
        taken.append(now() - start)
    return Seconds(min(one.cpu for one in taken), min(one.wall for one in taken))


def measure_lava(
    program: Program, sample: Sample, right: np.ndarray, parts: str, rounds: int
) -> tuple[Seconds, Seconds]:
    """Of all steps but SHORT, and of the start."""

    def whole() -> None:
        np.testing.assert_array_equal(run_lava(program, [sample], False, parts=parts)[0].logits, right)

    short: list[Sample] = [(sample[0][:SHORT], sample[1][:SHORT])]
    start = seconds_of(lambda: run_lava(program, short, False, parts=parts), rounds)
    return seconds_of(whole, rounds) - start, start


def make(name: str, events: int) -> tuple[Program, Sample]:
    if name in CLOCKED:
        _, program, values = make_network(name, events)
        return program, (values.astype(np.float64), STEP_US * np.arange(events))
    return make_s5(name)[1], make_stream(events)


def benchmark(name: str, events: int, parts: list[str], rounds: int, unavailable: str | None) -> Table:
    program, sample = make(name, events)
    right = reference.run(program, [sample], trace=False)[0].logits
    simulator, rows, clock = Simulator(program), list(sample[0]), sample[1].tolist()

    def step() -> None:
        simulator.reset()
        for value, time_us in zip(rows, clock, strict=True):
            logits, _ = simulator.step(value, time_us)
        np.testing.assert_array_equal(logits, right)

    def step_many() -> None:
        simulator.reset()
        logits, _ = simulator.step_many(*sample)
        np.testing.assert_array_equal(logits[-1], right)

    table = Table(title=f"{name}, w8a8, {events:,} steps")
    for column in ("way", "steps/s of CPU", "ms/step, CPU", "ms/step, wall", "start, CPU s", "start, wall s"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for part in parts:
        if part == "stock" and name not in CLOCKED:
            continue
        if unavailable:
            table.add_row(PARTS[part], unavailable)
            continue
        taken, start = measure_lava(program, sample, right, part, rounds)
        table.add_row(PARTS[part], *per_step(taken, events - SHORT), f"{start.cpu:.1f}", f"{start.wall:.1f}")
    calls = {"simulator, step": step, "simulator, step_many": step_many}
    calls["reference"] = lambda: reference.run(program, [sample], trace=False)
    for way, call in calls.items():
        call()  # compiles
        table.add_row(way, *per_step(seconds_of(call, rounds), events))
    return table


def per_step(taken: Seconds, steps: int) -> list[str]:
    if taken.cpu <= 0 or taken.wall <= 0:  # the start took longer than start and steps
        return ["too short to tell", "", ""]
    return [f"{steps / taken.cpu:,.0f}", f"{1e3 * taken.cpu / steps:.4f}", f"{1e3 * taken.wall / steps:.4f}"]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--models", nargs="+", default=["s5/tiny", "s5/shd-medium", "adlif/tiny", "adlif/ecg"])
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    made.add_argument("--events", type=int, default=1_000)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--cold", action="store_true")
    small = {"models": ["s5/tiny", "adlif/tiny"], "parts": ["layers", "stock"], "events": 500, "rounds": 2}
    smallest = {"models": ["adlif/tiny"], "parts": ["fused"], "events": 2 * SHORT, "rounds": 1}
    options = parse(made, small, smallest)
    if options.events <= SHORT:
        made.error(f"--events must be above {SHORT}, the length of the short sample")
    torch.set_num_threads(1)
    console = Console(width=120)
    unavailable = None
    try:
        ensure_environment()
        console.print(f"environment, warm: {seconds_of(ensure_environment, 1).wall:.2f} s")
    except LavaUnavailable as error:
        unavailable = f"skipped: {error}"
    if options.cold and not unavailable:
        cache = os.environ.get("PUMICE_CACHE")
        with tempfile.TemporaryDirectory() as empty:
            os.environ["PUMICE_CACHE"] = empty
            console.print(f"environment, cold: {seconds_of(ensure_environment, 1).wall:.1f} s")
        os.environ.pop("PUMICE_CACHE")
        if cache is not None:
            os.environ["PUMICE_CACHE"] = cache
    for name in options.models:
        console.print(benchmark(name, options.events, options.parts, options.rounds, unavailable))


if __name__ == "__main__":
    main()
