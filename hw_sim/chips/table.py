"""The verdict for people: a table of what does not fit, cures, and layers on cores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Column

from ...terminal import Table
from .check import Fit


def print_fit(fit: Fit, console: Console) -> None:
    """Print what the chip cannot hold, what would change it, and where the layers lie."""
    name = fit.profile.name
    if fit.breaches:
        columns = ("rule", Column("where", overflow="fold"), "limit", "actual", Column("places", justify="right"))
        table = Table(*columns, title=f"does not fit {name}")
        for verdict in fit.verdicts:
            worst = verdict.worst
            table.add_row(verdict.rule, worst.where, worst.limit, worst.actual, str(verdict.count))
        console.print(table)
        for cure in dict.fromkeys(breach.cure for breach in fit.breaches if breach.cure):
            console.print(f"cure: {cure}", highlight=False)
    if fit.placed:
        per_core = fit.profile.value("core_bytes")
        size = f" of {per_core:,} bytes" if per_core else ""
        title = (
            f"layers on cores{size}: {sum(entry.cores for entry in fit.placed)} of {fit.profile.value('cores') or '?'}"
        )
        right = [Column(head, justify="right") for head in ("units", "bytes", "cores")]
        table = Table("layer", *right, "by", title=title)
        for entry in fit.placed:
            table.add_row(entry.layer, f"{entry.units:,}", f"{entry.bytes:,}", str(entry.cores), entry.by)
        console.print(table)
    kinds = sorted({limit.kind for limit in fit.profile.limits.values()} | {fit.profile.features_kind})
    told = "does not fit" if fit.breaches else "fits"
    console.print(f"{name}: {told}; limits are {', '.join(kinds)} (docs/chips.md)", highlight=False)


def overview(fits: Mapping[str, Fit]) -> Table:
    """A line a chip: whether the program fits, and what stands against it."""
    columns = ("chip", "verdict", Column("against it", overflow="fold"), Column("cores", justify="right"))
    table = Table(*columns, title="which chips take the program", caption="pumice check hardware=NAME tells more")
    for fit in fits.values():
        told = line(fit)
        placed = "" if told["cores"] is None else str(told["cores"])
        table.add_row(told["chip"], "fits" if fit.fits else "does not fit", "; ".join(told["against"]), placed)
    return table


def line(fit: Fit) -> dict[str, Any]:
    """What a line of the overview tells, as plain data."""
    cores = sum(entry.cores for entry in fit.placed) if fit.placed else None
    return {"chip": fit.profile.name, "fits": fit.fits, "against": reasons(fit), "cores": cores}


def reasons(fit: Fit) -> list[str]:
    """Each broken limit in a few words."""
    return [
        f"{verdict.limit} ({verdict.rule}: {verdict.worst.actual})" if verdict.rule != "nodes" else verdict.limit
        for verdict in fit.verdicts
    ]
