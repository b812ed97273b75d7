"""Are backends the same, bit for bit? Logits of every sample, every edge and state of a few.

A backend is a callable; the first one given is the oracle. Nothing here knows what stands behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ...program import Program
from ...program.nodes import QUERY
from ...program.samples import Sample, Trace
from ...terminal import Table

Backend = Callable[[Program, Sequence[Sample], bool], Sequence[Trace]]
"""``backend(program, samples, trace)``: one Trace a sample; a backend may leave out edges, states and counters."""


@dataclass(frozen=True)
class Difference:
    """One value that differs. ``event`` counts rows of the edge; -1 where a whole shape differs."""

    sample: int
    event: int
    node: str
    channel: int
    what: str
    expected: int
    found: int


@dataclass
class Verdict:
    """One backend against the oracle. ``differing`` must be 0.

    Attributes:
        values: logits, edge and state values and counters that were compared.
        differing: how many of them differ.
        first: the earliest difference: by sample, then by time, then by the order of nodes.
        nodes, states: how many edges and states the traced samples offered, of how many the program has.
        saturations, clipped_gaps: by node, over all samples, where the backend counts them.
        incomplete: samples without a complete window.
        seconds: wall time of the untraced run.
    """

    backend: str
    samples: int
    traced: int
    values: int = 0
    differing: int = 0
    first: Difference | None = None
    nodes: tuple[int, int] = (0, 0)
    states: tuple[int, int] = (0, 0)
    saturations: dict[str, int] = field(default_factory=dict)
    clipped_gaps: dict[str, int] = field(default_factory=dict)
    incomplete: int = 0
    seconds: float = 0.0


@dataclass
class Comparison:
    """The verdict on every backend but the oracle, and the oracle's own counters."""

    oracle: Verdict
    verdicts: list[Verdict]

    @property
    def differing(self) -> int:
        """Differing values over all backends; must be 0."""
        return sum(verdict.differing for verdict in self.verdicts)

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"differing": self.differing, **asdict(self)}

    def table(self) -> Table:
        """A Rich table of the verdicts."""
        table = Table(title=f"Parity with {self.oracle.backend} ({self.oracle.samples} samples)")
        for column in ("backend", "values compared", "differing", "nodes traced", "saturations", "clipped gaps", "s"):
            table.add_column(column, justify="left" if column == "backend" else "right")
        for verdict in (self.oracle, *self.verdicts):
            table.add_row(
                verdict.backend,
                "oracle" if verdict is self.oracle else f"{verdict.values:,}",
                "" if verdict is self.oracle else f"{verdict.differing:,}",
                f"{verdict.nodes[0]}/{verdict.nodes[1]} of {verdict.traced} samples",
                f"{sum(verdict.saturations.values()):,}" if verdict.saturations else "not counted",
                f"{sum(verdict.clipped_gaps.values()):,}" if verdict.saturations else "not counted",
                f"{verdict.seconds:.2f}",
            )
        for verdict in self.verdicts:
            if verdict.first is not None:
                table.caption = f"{verdict.backend}: {describe(verdict.first)}"
                break
        return table


def describe(difference: Difference) -> str:
    """One sentence: where two backends part."""
    where = (
        f"sample {difference.sample}, event {difference.event}"
        if difference.event >= 0
        else (f"sample {difference.sample}")
    )
    return (
        f"first difference in {where}, {difference.what} of {difference.node}, channel {difference.channel}: "
        f"{difference.expected} expected, {difference.found} found"
    )


def compare(
    program: Program, samples: Sequence[Sample], backends: Mapping[str, Backend], *, traced: int = 3
) -> Comparison:
    """Run every backend on all samples; compare logits and counters of all, edges and states of the first ``traced``.

    The first backend is the oracle. Edges behind a read-out are compared where a backend offers their running values.
    """
    results = {name: _run(program, samples, backend, traced) for name, backend in backends.items()}
    names = list(results)
    oracle = _verdict(program, names[0], samples, results[names[0]], None)
    verdicts = [_verdict(program, name, samples, results[name], results[names[0]]) for name in names[1:]]
    return Comparison(oracle, verdicts)


@dataclass
class _Result:
    plain: Sequence[Trace]
    traced: Sequence[Trace]
    seconds: float


def _run(program: Program, samples: Sequence[Sample], backend: Backend, traced: int) -> _Result:
    start = time.perf_counter()
    plain = backend(program, samples, False)
    seconds = time.perf_counter() - start
    return _Result(plain, backend(program, samples[:traced], True), seconds)


def _verdict(
    program: Program, name: str, samples: Sequence[Sample], result: _Result, oracle: _Result | None
) -> Verdict:
    verdict = Verdict(name, len(samples), len(result.traced), seconds=result.seconds)
    for trace in result.plain:
        for node, count in trace.saturations.items():
            verdict.saturations[node] = verdict.saturations.get(node, 0) + count
        for node, count in trace.clipped_gaps.items():
            verdict.clipped_gaps[node] = verdict.clipped_gaps.get(node, 0) + count
        verdict.incomplete += trace.incomplete
    offered = result.traced[0] if result.traced else Trace(np.zeros(0), False, {}, {})
    total_states = sum(node.state_fracs.size > 0 for node in program)
    verdict.nodes = (len(offered.values), len(program.nodes))
    verdict.states = (len(offered.states), total_states)
    if oracle is None:
        return verdict
    found: list[tuple[int, int, Difference]] = []
    for sample, (mine, right) in enumerate(zip(result.traced, oracle.traced, strict=True)):
        here = _compare_traces(program, verdict, sample, mine, right)
        found = found or here
    for sample, (mine, right) in enumerate(zip(result.plain, oracle.plain, strict=True)):
        ends = _compare_ends(program, verdict, sample, mine, right)
        if not found or sample < found[0][2].sample:
            found = ends or found
    if found:
        verdict.first = min(found, key=lambda item: item[:2])[2]
    return verdict


def _compare_ends(
    program: Program, verdict: Verdict, sample: int, mine: Trace, right: Trace
) -> list[tuple[int, int, Difference]]:
    """Logits, counters and the flag of one sample."""
    last = 1 << 62
    found = _arrays(verdict, sample, program.logits, "logits", last, 0, mine.logits[None], right.logits[None])
    if program.series is not None and mine.series is not None and right.series is not None:
        rate = program.rates[program.series]
        found += _arrays(verdict, sample, program.series, "series", last - 1, rate, mine.series, right.series)
    for what in ("saturations", "clipped_gaps"):
        counts, wanted = getattr(mine, what), getattr(right, what)
        for node in (name for name in counts if name in wanted):  # the oracle may leave counters out as well
            arrays = np.array([[counts[node]]]), np.array([[wanted[node]]])
            found += _arrays(verdict, sample, node, what, last, 0, *arrays)
    flags = np.array([[int(mine.incomplete)]]), np.array([[int(right.incomplete)]])
    return found + _arrays(verdict, sample, program.logits, "incomplete flag", last, 0, *flags)


def _compare_traces(
    program: Program, verdict: Verdict, sample: int, mine: Trace, right: Trace
) -> list[tuple[int, int, Difference]]:
    """Edges and states of one sample, in the order of nodes."""
    found: list[tuple[int, int, Difference]] = []
    for order, node in enumerate(program):
        rate = program.rates[node.name]
        rate = 1 if rate == QUERY else rate
        for what, offered, wanted in (("output", mine.values, right.values), ("state", mine.states, right.states)):
            if node.name in offered and node.name in wanted:
                arrays = offered[node.name], wanted[node.name]
                found += _arrays(verdict, sample, node.name, what, order, rate, *arrays)
    return found


def _arrays(
    verdict: Verdict, sample: int, node: str, what: str, order: int, rate: int, mine: np.ndarray, right: np.ndarray
) -> list[tuple[int, int, Difference]]:
    """Count what differs between (rows, channels) arrays; the first one, with its time and order for ranking."""
    verdict.values += right.size
    mine = np.asarray(mine)
    if mine.shape != right.shape:
        verdict.differing += right.size or 1
        return [(0, order, Difference(sample, -1, node, -1, f"{what} shape", right.shape[0], mine.shape[0]))]
    wrong = mine != right
    count = int(wrong.sum())
    if count == 0:
        return []
    verdict.differing += count
    row, channel = (int(index) for index in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    event = row if rate else -1
    time_of_row = (row + 1) * rate if rate else 1 << 62
    first = Difference(sample, event, node, channel, what, int(right[row, channel]), int(mine[row, channel]))
    return [(time_of_row, order, first)]
