"""Energy as a table for people."""

from __future__ import annotations

from rich import box
from rich.console import Console

from ...terminal import Printer, Table
from ..counts.table import brief
from .estimate import Energy
from .profile import Range


def print_energy(energy: Energy, reference: Energy | None = None, console: Console | None = None) -> None:
    """Print means an event, or a step, by node, compute and memory apart, then totals; beside them ``reference``."""
    console = console or Printer()
    share = 1 / max(energy.events, 1)
    unit = "a step" if energy.clocked else "an input event"
    title = f"Energy {unit} by {energy.profile} (estimate, {energy.arithmetic})"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("node", no_wrap=True)
    for column in ("compute", "memory", "total"):
        table.add_column(column, justify="right", no_wrap=True)
    for node in energy.nodes:
        if node.total.high > 0:
            memory = sum(node.memory.values(), Range())
            table.add_row(brief(node.name), *(_text(value * share) for value in (node.compute, memory, node.total)))
    table.add_section()
    for each in (energy, reference):
        if each is not None:
            values = (each.compute, each.memory, each.total)
            table.add_row(
                each.arithmetic, *(_text(value * (1 / max(each.events, 1))) for value in values), style="bold"
            )
    console.print(table)
    for each in (energy, reference):
        if each is not None and each.placement:
            places = ", ".join(f"{kind} in {level}" for kind, level in each.placement.items())
            console.print(f"{each.arithmetic} memory: {places}")
    if energy.unpriced:
        listed = ", ".join(f"{name} {number * share:,.1f}" for name, number in sorted(energy.unpriced.items()))
        console.print(f"not priced, {unit}: {listed}")


def _text(value: Range) -> str:
    if value.high == 0:
        return "-"
    unit, factor = next((item for item in (("uJ", 1e-6), ("nJ", 1e-3)) if value.high * item[1] >= 1), ("pJ", 1.0))
    low, high = f"{value.low * factor:,.2f}", f"{value.high * factor:,.2f}"
    return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"
