"""The stage ``report``, and ``pumice report a/ b/ ...`` for comparing runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from ..hw_sim.report.write import write_report
from .folder import RunFolder


def check(config: Mapping[str, Any]) -> None:
    """The stage has no settings."""


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Write report.html, report.json and report/*.csv of what has run in the folder so far."""
    folder.check_outputs()
    data = write_report(folder.path)
    missing = [name for name, entry in data["stages"].items() if entry is None]
    console = Console()
    if missing:
        console.print(f"not run, and shown so: {', '.join(missing)}")
    console.print(f"report: {folder.path / 'report.html'}")
    return {"not_run": missing}
