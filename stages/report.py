"""The stage ``report``, and several runs beside each other (``pumice report a/ b/ ...``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import PumiceError
from ..files import check_inside
from ..hw_sim.report import STAGE
from ..hw_sim.report.compare_runs import unit_of, write_comparison
from ..hw_sim.report.write import write_report
from ..program import ProgramError
from ..terminal import Printer, Table
from .folder import RunFolder
from .table import STAGES


def check(config: Mapping[str, Any]) -> None:
    """The stage has no settings."""


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Write report.html, report.json and report/*.csv of what has run in the folder so far."""
    folder.check_outputs()
    others = [stage.name for stage in STAGES if stage.name != STAGE and stage.takes(config)]
    data = write_report(folder.path, others)
    missing = [name for name, entry in data["stages"].items() if entry is None]
    console = Printer()
    if missing:
        console.print(f"not run, and shown so: {', '.join(missing)}")
    console.print(f"report: {folder.path / 'report.html'}")
    return {"not_run": missing}


def compare(folders: Sequence[Path], settings: Mapping[str, str]) -> None:
    """Write comparison.html, .json and .csv of several runs to the folder ``settings["out"]`` (default: here).

    Raises:
        PumiceError: fewer than two folders, a folder that holds no run, or an unknown setting.
    """
    unknown = [name for name in settings if name != "out"]
    if unknown:
        raise PumiceError(f"there is no setting '{unknown[0]}' in a comparison of runs; only out=FOLDER is")
    files = [path for path in folders if path.is_file()]  # runs/multirun/* has multirun.yaml as well
    for path in files:
        print(f"left out: {path} is a file, not the folder of a run")
    folders = [path for path in folders if path not in files]
    if not folders:
        raise PumiceError("no folder of a run is given; name two or more, such as runs/multirun/*")
    if len(folders) < 2:
        raise PumiceError(f"a single folder is given; pumice report run_dir={folders[0]} writes the report of one run")
    for folder in folders:
        if not folder.is_dir():
            raise PumiceError(f"{folder} is no folder; name folders of runs, such as runs/multirun/*")
        check_inside(folder)
    out = Path(settings.get("out", "."))
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
    console = Printer()
    console.print(table)
    console.print(f"comparison: {out / 'comparison.html'}")
