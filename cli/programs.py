"""The verbs ``inspect`` and ``diff``: program files, no configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import RenderableType

from ..api.program_files import load_program
from ..errors import ProgramsDiffer, PumiceError
from ..hw_sim.inspection import diff, diff_table, inspect, inspection_table
from ..program import Program
from ..terminal import Printer
from .words import SOURCES


def inspect_file(arguments: Sequence[str]) -> None:
    """``pumice inspect program.npz [--json]``.

    Raises:
        PumiceError: wrong arguments, or a file that is no program.
    """
    (program,), as_json = _programs(arguments, 1, "pumice inspect program.npz [--json]")
    _show(inspect(program), inspection_table, as_json)


def diff_files(arguments: Sequence[str]) -> None:
    """``pumice diff a.npz b.npz [--json]``.

    Raises:
        ProgramsDiffer: they differ.
        PumiceError: wrong arguments, or a file that is no program.
    """
    (first, second), as_json = _programs(arguments, 2, "pumice diff a.npz b.npz [--json]")
    found = diff(first, second)
    _show(found, diff_table, as_json)
    if not found["identical"]:
        raise ProgramsDiffer("the programs differ")


def _programs(arguments: Sequence[str], count: int, usage: str) -> tuple[list[Program], bool]:
    given = [argument for argument in arguments if argument != "--json"]
    names = [name.partition("=")[2] if name.split("=", 1)[0] in SOURCES else name for name in given]
    unknown = [name for name in names if name.startswith("-")]
    if unknown or len(names) != count:
        what = f"{unknown[0]} is unknown" if unknown else f"{len(names)} files are given, {count} expected"
        raise PumiceError(f"{what}; usage: {usage}")
    return [load_program(name) for name in names], "--json" in arguments


def _show(data: dict[str, Any], table: Callable[[dict[str, Any]], RenderableType], as_json: bool) -> None:
    if as_json:
        print(json.dumps(data, indent=2, sort_keys=True))
    else:
        Printer().print(table(data))
