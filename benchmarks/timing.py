"""What the benchmarks share: their sizes, CPU time of ways that take turns, and the table of them.

CPU time is that of this process, all its threads together; other load on the machine does not stretch it as it
stretches the clock on the wall.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

SIZES = ("smallest", "small", "full")


@dataclass(frozen=True)
class Way:
    """One way to get the work done.

    Args:
        interface: what one call takes and gives; ways are compared with the yardstick of the same interface.
        name: who does it.
        call: does it.
        units: events, or whatever is counted, that one call gets through.
        yardstick: the speeds of the other ways of this interface are told relative to this one.
    """

    interface: str
    name: str
    call: Callable[[], object]
    units: int = 1
    yardstick: bool = False


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with ``--size``; further arguments are added to it and read by `parse`."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--size", choices=SIZES, default="full", help="smallest: to see that it starts, figures say nothing"
    )
    return made


def parse(made: argparse.ArgumentParser, small: dict[str, object], smallest: dict[str, object]) -> argparse.Namespace:
    """The arguments, with the defaults of the size asked for; what is given by name stands."""
    size = made.parse_args().size
    made.set_defaults(**{"full": {}, "small": small, "smallest": smallest}[size])
    return made.parse_args()


def race(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each call in each round, the calls taking turns; a round before them, not counted, compiles."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            seconds[name].append(time.process_time() - start)
    return seconds


def compare(title: str, ways: Sequence[Way], rounds: int, unit: str = "event", caption: str | None = None) -> None:
    """Race ``ways`` and print the median of each, beside the yardstick of its interface."""
    taken = race({f"{way.interface}: {way.name}": way.call for way in ways}, rounds)
    medians = [statistics.median(times) / way.units for times, way in zip(taken.values(), ways, strict=True)]
    yardsticks = {way.interface: (way, time) for way, time in zip(ways, medians, strict=True) if way.yardstick}
    table = Table(
        title=title,
        caption=caption or "medians of CPU time; speed is relative to the way marked 1 of the same interface",
    )
    for column in ("one call", "way", f"{unit}s/s", f"us/{unit}", "speed"):
        table.add_column(column, justify="left" if column in ("one call", "way") else "right")
    before = None
    for way, time_taken in zip(ways, medians, strict=True):
        ratio = ""
        if way.interface in yardsticks:
            yardstick, time_of_it = yardsticks[way.interface]
            ratio = "1" if way is yardstick else f"{time_of_it / time_taken:.2f}"
        interface = way.interface if way.interface != before else ""
        table.add_row(interface, way.name, f"{1 / time_taken:,.0f}", f"{1e6 * time_taken:,.2f}", ratio)
        before = way.interface
    Console(width=120).print(table)


def profiled(title: str, call: Callable[[], object], rows: int) -> Table:
    """The operations of PyTorch that one ``call`` spends most time in itself."""
    import torch  # other benchmarks do without

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        call()
    averages = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in averages)
    table = Table("operation", "calls", "self ms", "share", title=title)
    for event in averages[:rows]:
        share = event.self_cpu_time_total / total
        table.add_row(event.key, str(event.count), f"{event.self_cpu_time_total / 1e3:.1f}", f"{share:.0%}")
    return table
