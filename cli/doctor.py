"""The verb ``doctor``: what this machine has and lacks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Column
from rich.text import Text

from ..errors import PumiceError
from ..terminal import Printer, Table

COLOURS = {"ok": "green", "lacking": "yellow", "faulty": "red"}


def run(arguments: Sequence[str]) -> None:
    """``pumice doctor [--json]``: print the findings, then what to do about those that are not in order.

    Raises:
        PumiceError: other arguments, or something that Pumice needs is faulty.
    """
    from ..api.doctor import FAULTY, examine

    if list(arguments) not in ([], ["--json"]):
        raise PumiceError(f"'doctor' takes nothing, or --json; '{arguments[0]}' is neither")
    found = examine()
    if arguments:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        console = Printer()
        table = Table("", "", Column("", overflow="fold"), "", show_header=False)
        area = ""
        for finding in found:
            first = finding.area if finding.area != area else ""
            table.add_row(first, finding.what, finding.found, Text(finding.state, COLOURS[finding.state]))
            area = finding.area
        console.print(table)
        for finding in found:
            if finding.cure:
                console.print(f"{finding.what}: {finding.cure}")
    faulty = [finding.what for finding in found if finding.state == FAULTY]
    if faulty:
        raise PumiceError(f"{', '.join(faulty)}: Pumice does not work without; see above what to do")
