"""How the simulator's CPU time and memory grow with events, width, layers and samples; one thread, no trace.

    python benchmarks/growth.py [--picture docs/assets/growth.svg]

Programs are S5 classifiers with random weights at w8a8, two stages with a stride of 8 before each, on a stream of
uniform tokens at 10,000 events a second. One size changes at a time: the events of a recording of `s5/tiny`; the width
of four layers (4/3 as many modes); the layers of `s5/tiny`; the samples of 1,000 events that are run one after the
other. The last column tells how the time of the whole run grew from the row above: 1 is in proportion to the size, for
width 2, since a layer's products grow with its square. Memory is what the program's arrays take, and the most that a
run took besides: the inputs are not counted, which the caller holds.
"""

from __future__ import annotations

import math
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from programs import make_s5, make_stream
from pumice.hw_sim.simulator import Simulator, run
from pumice.program import Program
from rich.console import Console
from rich.table import Table
from timing import parse, parser

MIB = 1 << 20


@dataclass(frozen=True)
class Point:
    """One size, and what it took: events in all, CPU seconds, bytes of the program's arrays and of a run."""

    size: int
    events: int
    seconds: float
    held: int
    taken: int


def measured(size: int, program: Program, events: int, samples: int, rounds: int) -> Point:
    """The median time of ``samples`` recordings of ``events`` each, in one thread, and their memory."""
    given = [make_stream(events)] * samples
    held = sum(arena.nbytes for arena in Simulator(program).arenas)

    def work() -> None:
        run(program, given, threads=1)

    work()
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    tracemalloc.start()
    work()
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Point(size, events * samples, statistics.median(seconds), held, taken)


def by_events(sizes: Iterable[int], rounds: int) -> list[Point]:
    _, program = make_s5("s5/tiny")
    return [measured(size, program, size, 1, rounds if size < 10**6 else 1) for size in sizes]


def by_width(sizes: Iterable[int], events: int, rounds: int) -> list[Point]:
    points = []
    for size in sizes:
        _, program = make_s5("s5/tiny", events=500, d_model=size, d_ssm=-(-4 * size // 24) * 8)
        points.append(measured(size, program, events, 1, rounds))
    return points


def by_layers(sizes: Iterable[int], events: int, rounds: int) -> list[Point]:
    points = []
    for size in sizes:
        _, program = make_s5("s5/tiny", events=500, layers_per_stage=size // 2)
        points.append(measured(size, program, events, 1, rounds))
    return points


def by_samples(sizes: Iterable[int], rounds: int) -> list[Point]:
    _, program = make_s5("s5/tiny")
    return [measured(size, program, 1_000, size, rounds) for size in sizes]


def growth(before: Point | None, point: Point) -> str:
    """The exponent of time over size between two rows."""
    if before is None:
        return ""
    return f"{math.log(point.seconds / before.seconds) / math.log(point.size / before.size):.2f}"


def show(found: dict[str, Sequence[Point]]) -> None:
    table = Table(title="growth of the simulator", caption="medians of CPU time; growth: exponent from the row above")
    columns = ("what grows", "size", "events", "CPU us/event", "program, MiB", "run, MiB", "growth")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    for what, points in found.items():
        for before, point in zip([None, *points], points, strict=False):
            row = (f"{point.size:,}", f"{point.events:,}", f"{1e6 * point.seconds / point.events:.3f}")
            memory = (f"{point.held / MIB:.2f}", f"{point.taken / MIB:.2f}")
            table.add_row("" if before else what, *row, *memory, growth(before, point))
    Console(width=120).print(table)


def draw(found: dict[str, Sequence[Point]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(11, 3), layout="constrained")
    for panel, (what, points) in zip(panels, found.items(), strict=True):
        sizes = [point.size for point in points]
        panel.loglog(sizes, [point.seconds for point in points], "o-", label="CPU time, s")
        panel.loglog(sizes, [(point.held + point.taken) / MIB for point in points], "s--", label="memory, MiB")
        panel.set_xlabel(what)
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--events", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6, 10**7])
    made.add_argument("--widths", type=int, nargs="+", default=[32, 64, 128, 256, 512, 1024])
    made.add_argument("--layers", type=int, nargs="+", default=[2, 4, 8, 16])
    made.add_argument("--samples", type=int, nargs="+", default=[1, 4, 16, 64])
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--picture", type=Path, help="where to draw it, as SVG")
    small = {"events": [10**3, 10**4], "widths": [32, 64], "layers": [2, 4], "samples": [1, 4], "rounds": 3}
    smallest = {"events": [100, 200], "widths": [24], "layers": [2], "samples": [1, 2], "rounds": 1}
    options = parse(made, small, smallest)
    length = min(20_000, 20 * max(options.events))
    ways: dict[str, Callable[[], list[Point]]] = {
        "events": lambda: by_events(options.events, options.rounds),
        "width": lambda: by_width(options.widths, length, options.rounds),
        "layers": lambda: by_layers(options.layers, length, options.rounds),
        "samples": lambda: by_samples(options.samples, options.rounds),
    }
    found = {what: way() for what, way in ways.items()}
    show(found)
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
