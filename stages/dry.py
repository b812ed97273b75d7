"""What a command would do in a run folder, told without doing it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import check_inside
from .folder import RunFolder
from .run import possible_stages, stages_to_redo
from .stage import Stage
from .table import ALL, below

RUNS, GOES_ON, FINISHED, ANEW = "runs", "goes on where it was interrupted", "finished earlier", "is done anew"


def plan_stages(
    config: Mapping[str, Any], names: Collection[str], path: Path, redo: Sequence[str] = (), others: bool = False
) -> list[tuple[str, str]]:
    """Each stage of ``names`` with what `run.run_stages` would do about it; nothing is written.

    Raises:
        PumiceError: what that would refuse: bad settings, a folder with other settings, a missing or changed input.
    """
    stale = stages_to_redo(redo)
    chosen, modules = possible_stages([stage for stage in ALL if stage.name in names], config)
    for stage in chosen:
        modules[stage.name].check(config)
    folder = RunFolder(path, config)
    if path.exists():
        check_inside(path)
    for stage in below(chosen[-1]):
        if stage.name not in stale:
            folder.check_settings(stage, others)
    told: list[tuple[str, str]] = []
    coming: set[str] = set()
    for stage in chosen:
        missing = [name for name in stage.needs if name not in coming]
        if missing and not coming:
            folder.check_needs(stage)
        what = _what(stage, folder, stale, coming)
        if what != FINISHED:
            coming.update(stage.writes)
        told.append((stage.name, what))
    return told


def _what(stage: Stage, folder: RunFolder, stale: Collection[str], coming: Collection[str]) -> str:
    """What happens to a stage where the files ``coming`` are written before it."""
    record = folder.record(stage)
    if record is None:
        return RUNS
    if stage.name in stale or set(coming) & {*stage.needs, *stage.uses}:
        return ANEW
    if folder.is_finished(stage):
        return FINISHED
    return ANEW if record.finished or record.inputs != folder.inputs(stage) else GOES_ON
