"""Jobs of one multirun share the stages whose settings and inputs agree: none trains the same float model twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import PumiceError
from ..files import check_inside, copy_file
from ..records import StageRecord, read_record, versions
from .folder import RunFolder, file_digest, first_difference, settings_of
from .stage import Stage


def take_from_sibling(stage: Stage, folder: RunFolder) -> Path | None:
    """Copy the outputs of ``stage`` from a folder beside ``folder`` that made them by the same settings and versions,
    of the same inputs, and record that they came from there.

    Returns:
        that folder; None where there is none. One that is damaged, or that another process works in, is passed over:
        the stage then runs here.
    """
    for sibling, record in _finished(stage, folder):
        for name in stage.writes:
            target = folder.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(sibling / name, target)
        folder.begin(stage)
        folder.finish(stage, record.figures, record.seconds or 0.0, taken_from=sibling.name)
        return sibling
    return None


def _finished(stage: Stage, folder: RunFolder) -> Iterator[tuple[Path, StageRecord]]:
    """Folders beside ``folder`` where ``stage`` has finished as it would here, and their records."""
    wanted, inputs = settings_of(stage, folder.config), folder.inputs(stage)
    for sibling in sorted(path for path in folder.path.parent.iterdir() if path.is_dir() and path != folder.path):
        try:
            check_inside(sibling)
            record = read_record(sibling, stage.name)
            if record is None or not record.finished or record.inputs != inputs or record.versions != versions():
                continue
            if first_difference(record.settings, wanted) is not None:
                continue
            digests = {name: file_digest(sibling / name) for name in stage.writes}
        except (PumiceError, OSError):  # somebody else's folder, of which nothing is needed
            continue
        if digests == {name: record.outputs.get(name) for name in stage.writes}:
            yield sibling, record
