"""What a run folder says of its stages: ``stages/<name>.json``, one record a stage."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import PumiceError
from .files import read_json, write_json

FOLDER = "stages"
METRICS = "metrics.json"
LOG = "run.log"
OVERRIDES = "overrides.yaml"
"""What a run folder remembers of the settings that were typed."""
BEGUN = "begun"
FINISHED = "finished"
VERSIONS_OF = ("pumice", "torch", "lightning", "numpy", "numba")
KINDS = {"stage": str, "status": str, "settings": dict, "inputs": dict, "outputs": dict, "figures": dict}


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """One stage of a run, from its beginning on.

    Attributes:
        stage: its name.
        status: ``BEGUN``, or ``FINISHED`` once all its outputs lie there.
        settings: the sections of the configuration that its outputs depend on, plain data.
        inputs: SHA-256 of the files that it read, by their names in the run folder.
        outputs: the same of those that it wrote; empty until it has finished.
        figures: what it reported, plain data.
        seconds: wall-clock time; None until it has finished.
        versions: of Python, the packages that results depend on, and the machine.
        taken_from: the run folder beside this one that the outputs were copied from, a job of the same multirun with
            the same settings and inputs; empty where the stage ran here.
        finished_at: when, ISO 8601 in UTC; empty until then, and in folders that do not tell.
    """

    stage: str
    status: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    taken_from: str = ""
    finished_at: str = ""

    @property
    def finished(self) -> bool:
        """Whether the stage has finished."""
        return self.status == FINISHED


def record_path(folder: Path, stage: str) -> Path:
    """Where the record of ``stage`` lies in a run folder."""
    return folder / FOLDER / f"{stage}.json"


def write_record(folder: Path, record: StageRecord) -> None:
    """Write a record into a run folder, atomically."""
    write_json(record_path(folder, record.stage), asdict(record))


def read_record(folder: Path, stage: str) -> StageRecord | None:
    """The record of ``stage`` in a run folder; None where it was never begun.

    Raises:
        PumiceError: it is damaged; files are compared with the digests in it, so a strange one is refused.
    """
    source = record_path(folder, stage)
    if not source.exists():
        return None
    found = read_json(source)
    if (
        not isinstance(found, dict)
        or not all(isinstance(found.get(key), kind) for key, kind in KINDS.items())
        or any(Path(name).is_absolute() or ".." in Path(name).parts for name in found["outputs"])
    ):
        raise PumiceError(f"{source} is damaged; do the stage anew with redo=[{stage}]")
    return StageRecord(**{item.name: found[item.name] for item in fields(StageRecord) if item.name in found})


def read_records(folder: Path) -> dict[str, StageRecord]:
    """All records of a run folder by stage, in order of their names.

    Raises:
        PumiceError: one of them is damaged.
    """
    found = {path.stem: read_record(folder, path.stem) for path in sorted((folder / FOLDER).glob("[!.]*.json"))}
    return {stage: record for stage, record in found.items() if record is not None}


def versions() -> dict[str, str]:
    """Versions of what the results depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in VERSIONS_OF:
        with contextlib.suppress(metadata.PackageNotFoundError):  # a source tree on the path has no metadata
            found[name] = metadata.version(name)
    return found
