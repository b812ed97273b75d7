"""``pumice report a/ b/ ...``: several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..errors import PumiceError
from ..hw_sim.report.compare_runs import unit_of, write_comparison
from ..program import ProgramError


def compare(arguments: Sequence[str]) -> None:
    """``pumice report a/ b/ ... [out=FOLDER]``: write comparison.html, .json and .csv to FOLDER (default: here).

    Raises:
        PumiceError: fewer than two folders, a folder that holds no run, or an unknown setting.
    """
    folders = [Path(argument) for argument in arguments if "=" not in argument]
    settings = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    out = Path(settings.pop("out", "."))
    if settings:
        raise PumiceError(f"there is no setting '{next(iter(settings))}' in a comparison of runs; only out=FOLDER is")
    if len(folders) < 2:
        raise PumiceError(f"a single folder is given; pumice report run_dir={folders[0]} writes the report of one run")
    for folder in folders:
        if not folder.is_dir():
            raise PumiceError(f"{folder} is no folder; name folders of runs, such as runs/multirun/*")
    try:
        rows = write_comparison(folders, out)
    except ProgramError as error:
        raise PumiceError(str(error)) from error
    table = Table(
        "run", "accuracy (95 %)", "float", "products", "nJ", "bytes", title=f"{unit_of(rows)}; energy at most"
    )
    for row in rows:
        accuracy = "not run"
        if row["accuracy"] is not None:
            accuracy = f"{row['accuracy']:.2%} ({row['low']:.1%} to {row['high']:.1%})"
        cells = (("products", ",.0f"), ("energy_nj", ",.2f"), ("bytes", ",.0f"))
        floats = "not run" if row["float"] is None else f"{row['float']:.2%}"
        shown = ["not run" if row[key] is None else format(row[key], form) for key, form in cells]
        table.add_row(row["short"], accuracy, floats, *shown)
    console = Console()
    console.print(table)
    console.print(f"comparison: {out / 'comparison.html'}")
