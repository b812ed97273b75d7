"""Counts as a table for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console

from ...terminal import Printer, Table
from .records import Counts, NodeCounts

_COLUMNS = ("dense", "MAC", "AC", "other", "modes", "digits", "weights", "state")
_CLOCKED = ("dense", "MAC", "AC", "other", "neurons", "spikes", "weights", "state")


def print_counts(counts: Counts, reference: Counts | None = None, console: Console | None = None) -> None:
    """Print means an event, or a step, by node, then totals; ``reference`` (``count_float``) is set beside them.

    Columns: dense products of matrices; those left when zeros are skipped, as multiply-accumulates and as
    accumulates; all other operations; updates of a complex mode, or a neuron; decay steps of a complex mode, or
    spikes; bytes of parameters read; bytes of state read and written.
    """
    console = console or Printer()
    events, unit = max(counts.events, 1), "step" if counts.clocked else "event"
    title = (
        f"Operations {'a step' if counts.clocked else 'an input event'} "
        f"({counts.arithmetic}; {counts.samples:,} samples, {counts.events:,} {unit}s)"
    )
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("node", no_wrap=True)
    for column in _CLOCKED if counts.clocked else _COLUMNS:
        table.add_column(column, justify="right")
    for node in counts:
        if node.operations or node.state_bits:
            table.add_row(brief(node.name), *_cells(_row(node, counts.clocked), events))
    table.add_section()
    table.add_row("total", *_cells(_sums(counts), events), style="bold")
    if reference is not None:
        table.add_row(reference.arithmetic, *_cells(_sums(reference), events))
    console.print(table)
    if counts.spike_rates:
        rates = ", ".join(f"{brief(name)} {rate:.2%}" for name, rate in counts.spike_rates.items())
        console.print(f"spikes a neuron and step: {rates}")
    for each in (counts, reference):
        if each is not None:
            totals = each.totals()
            console.print(
                f"{each.arithmetic}: model {totals['parameter_bits'] / 8:,.0f} bytes, "
                f"state {totals['state_bits'] / 8:,.0f} bytes"
            )
    widths = ", ".join(
        f"{left}x{right} bit {_short(effective / events)} of {_short(dense / events)}"
        for (left, right), (dense, effective) in counts.by_widths().items()
    )
    article = "a" if counts.clocked else "an"
    console.print(f"effective of dense products {article} {unit}, by widths of weight and operand: {widths}")


def _row(node: NodeCounts, clocked: bool) -> tuple[float, ...]:
    accumulate = node.sum("mac", "accumulate")
    others = sum(item.effective for item in node.operations if item.kind not in ("mac", "gather"))
    traffic = node.traffic
    return (
        node.sum("mac", "dense"),
        node.sum("mac") - accumulate,
        accumulate,
        others,
        node.state_updates,
        node.spikes if clocked else node.digit_steps,
        traffic.weights / 8,
        (traffic.state_read + traffic.state_written) / 8,
    )


def _sums(counts: Counts) -> tuple[float, ...]:
    return tuple(sum(column) for column in zip(*(_row(node, counts.clocked) for node in counts), strict=True))


def _cells(values: Iterable[float], events: int) -> list[str]:
    return [_short(value / events) for value in values]


def brief(name: str) -> str:
    """``stages/0/layers/1/ssm`` as ``0/1/ssm``: the width of a terminal is short."""
    return name.replace("stages/", "").replace("layers/", "")


def _short(value: float) -> str:
    """Three significant digits; ``k``, ``M`` for thousands and millions."""
    if value == 0:
        return "-"
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
