"""Where a run comes from: files, the command that makes the like, versions, date, and in what runs differ."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from ...errors import PumiceError
from ...files import read_text
from ...records import OVERRIDES, StageRecord

UNTOLD = {"name"}
"""Settings of a group that only name it: run, task and widths have columns of their own."""
BY_NAME = {("hardware",)}
"""Sections of many constants that their name tells."""


def artifacts(folder: Path, records: Mapping[str, StageRecord]) -> list[dict[str, Any]]:
    """Files of the run that lie in ``folder``: name, link as a page beside them has it, bytes, and the stage."""
    found = []
    for stage, record in records.items():
        for name in record.outputs:
            if (folder / name).is_file():
                size = (folder / name).stat().st_size
                found.append({"name": name, "link": quote(name), "bytes": size, "stage": stage})
    return found


def command(folder: Path) -> str | None:
    """``pumice run`` with the settings that the folder remembers; None of a folder that remembers none.

    Raises:
        PumiceError: they cannot be read.
    """
    source = folder / OVERRIDES
    if not source.is_file():
        return None
    try:
        kept = yaml.safe_load(read_text(source))["overrides"]
        if not all(isinstance(item, str) for item in kept):
            raise TypeError("an override is no text")
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError, RecursionError) as error:
        raise PumiceError(f"{source} is damaged and cannot be read ({type(error).__name__}); delete it") from error
    return shlex.join(["pumice", "run", *kept])


def finished_at(records: Mapping[str, StageRecord]) -> str | None:
    """When the last stage finished, ISO 8601 in UTC; None of folders that do not tell."""
    return max((record.finished_at for record in records.values() if record.finished_at), default=None)


def differing(settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The settings in which runs differ.

    Args:
        settings: of each run, by section.

    Returns:
        a row each: ``setting``, dotted, and ``values``, a text a run, None where it has no such setting. Runs in which
        no stage has read a section do not differ in it.
    """
    flat = [dict(_leaves(each)) for each in settings]
    rows = []
    for name in dict.fromkeys(name for each in flat for name in each):
        values = [each.get(name) for each in flat]
        known = {value for value, each in zip(values, settings, strict=True) if name.partition(".")[0] in each}
        if len(known) > 1:
            rows.append({"setting": name, "values": values})
    return rows


def _leaves(value: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    if key in BY_NAME and isinstance(value, Mapping) and "name" in value:
        yield ".".join(key), str(value["name"])
    elif isinstance(value, Mapping) and value:
        for name, inner in value.items():
            if not (len(key) == 1 and name in UNTOLD):
                yield from _leaves(inner, (*key, str(name)))
    else:
        yield ".".join(key), "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
