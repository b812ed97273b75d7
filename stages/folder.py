"""A run folder: which stages have finished there, with which settings, from and to which bytes (`pumice.records`).

A finished stage is not repeated; an interrupted one continues; a folder that holds other settings is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import PumiceError
from ..files import check_inside, read_json, remove, remove_partial, write_json
from ..records import (
    BEGUN,
    FINISHED,
    METRICS,
    StageRecord,
    read_record,
    read_records,
    record_path,
    versions,
    write_record,
)
from .invariants import check_figures
from .stage import Stage
from .table import ASIDE

SINCE: Mapping[str, Any] = {
    "model.activation": "gelu",
    "model.feedthrough": True,
    "model.residual": True,
    "model.recurrent": True,
    "model.reset": "zero",
    "model.refractory": 0,
    "nir.refractory": 0,
    "model.rise": "leak",
    "model.tau_i": [2, 10],
}
"""Settings that some run folders do not know, with the values that do what was done without them."""


class RunFolder:
    """The folder of one run; open it with :func:`open_run_folder`, which locks it.

    Args:
        path: the folder.
        config: the resolved configuration, plain data.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path = path
        self.config = config

    def record(self, stage: Stage) -> StageRecord | None:
        """The record of ``stage``; None where it was never begun.

        Raises:
            PumiceError: it is damaged.
        """
        return read_record(self.path, stage.name)

    def check_settings(self, stage: Stage, others: bool = False) -> None:
        """Refuse settings other than those ``stage`` was begun with here.

        Args:
            stage: which.
            others: the folder got its name without being asked for, so that another run's results may lie in it:
                nobody is advised to replace them.

        Raises:
            PumiceError: naming the first differing key.
        """
        record = self.record(stage)
        if record is None:
            return
        difference = first_difference(record.settings, settings_of(stage, self.config))
        if difference is not None:
            key, there, here = difference
            advice = "" if others else f" or do the stage anew with redo=[{stage.name}]"
            raise PumiceError(
                f"{self.path} was made with {key}={there} but {key}={here} is asked for; choose another run_dir{advice}"
            )

    def check_needs(self, stage: Stage) -> None:
        """Refuse to start ``stage`` without its input files, or from files that are not what a stage wrote.

        Raises:
            PumiceError: naming the missing or changed file.
        """
        self.check_outputs((*stage.needs, *stage.uses))
        for name in stage.needs:
            if not (self.path / name).is_file():
                raise PumiceError(
                    f"'{stage.name}' needs {self.path / name}, which does not exist; "
                    f"{_made_by(name)} or name their folder by run_dir=..."
                )

    def is_finished(self, stage: Stage) -> bool:
        """Whether ``stage`` has finished here, from the same inputs, and its outputs are still there.

        Raises:
            PumiceError: an output differs from what the stage wrote.
        """
        record = self.record(stage)
        if record is None or not record.finished:
            return False
        if not all((self.path / name).is_file() for name in stage.writes):
            return False
        if record.inputs != self.inputs(stage):
            return False
        self.check_outputs(stage.writes)
        return True

    def check_outputs(self, names: Collection[str] | None = None) -> None:
        """Refuse files that differ from what a finished stage wrote; files that are not there are passed over.

        Args:
            names: of the files to check; None: all that finished stages wrote.

        Raises:
            PumiceError: naming the first that differs.
        """
        for stage, record in read_records(self.path).items():
            for name, digest in record.outputs.items():
                path = self.path / name
                if (names is None or name in names) and path.is_file() and file_digest(path) != digest:
                    raise PumiceError(
                        f"{path} is not what '{stage}' wrote there (changed or damaged); "
                        f"restore it or write it anew with redo=[{stage}]"
                    )

    def digests(self, names: tuple[str, ...]) -> dict[str, str]:
        """SHA-256 of each of the folder's files ``names``."""
        return {name: file_digest(self.path / name) for name in names}

    def inputs(self, stage: Stage) -> dict[str, str]:
        """SHA-256 of each file that ``stage`` reads here."""
        return self.digests((*stage.needs, *(name for name in stage.uses if (self.path / name).is_file())))

    def forget(self, stage: Stage) -> None:
        """Delete the outputs, the unfinished work and the record of ``stage``, which has to outlive them."""
        for name in (*stage.writes, *stage.scratch):
            remove(self.path / name)
        record_path(self.path, stage.name).unlink(missing_ok=True)

    def forget_if_inputs_changed(self, stage: Stage) -> None:
        """Drop what ``stage`` made, or half made, from other inputs than those that lie here now."""
        record = self.record(stage)
        if record is not None and record.inputs != self.inputs(stage):
            self.forget(stage)

    def begin(self, stage: Stage) -> None:
        """Record that ``stage`` has begun, with which settings; what an earlier run wrote counts no longer."""
        write_record(self.path, self._new_record(stage, BEGUN))

    def finish(self, stage: Stage, figures: Mapping[str, Any], seconds: float, taken_from: str = "") -> None:
        """Record that ``stage`` has finished, here or in another folder, and merge its ``figures`` into metrics.json.

        Raises:
            FiguresError: the figures contradict themselves.
        """
        check_figures(figures)
        metrics = self.path / METRICS
        known = read_json(metrics) if metrics.exists() else {}
        if not isinstance(known, dict):
            raise PumiceError(f"{metrics} is damaged: it holds no figures by stage; remove it")
        write_json(metrics, {**known, stage.name: dict(figures)})
        record = self._new_record(stage, FINISHED)
        outputs = self.digests(stage.writes)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record = replace(record, outputs=outputs, figures=dict(figures), seconds=round(seconds, 2), finished_at=now)
        write_record(self.path, replace(record, taken_from=taken_from))

    def _new_record(self, stage: Stage, status: str) -> StageRecord:
        return StageRecord(
            stage=stage.name,
            status=status,
            settings=settings_of(stage, self.config),
            inputs=self.inputs(stage),
            versions=versions(),
        )


@contextlib.contextmanager
def open_run_folder(path: str | Path, config: Mapping[str, Any], shared: bool = False) -> Iterator[RunFolder]:
    """Open and lock a run folder, making it where it does not exist. The lock goes when the process ends.

    Args:
        path: of the folder.
        config: the resolved configuration, plain data.
        shared: others may open it so at the same time; then nothing is cleared away.

    Raises:
        PumiceError: another process works in it, it cannot be made, or something in it leads out of it.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        check_inside(path)
        lock = (path / ".lock").open("a")
    except OSError as error:
        raise PumiceError(f"cannot use the run folder {path}: {error.strerror}; choose another run_dir") from error
    with lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            raise PumiceError(f"another process works in {path}; wait for it or choose another run_dir") from error
        if not shared:
            remove_partial(path)
        yield RunFolder(path, config)


def _made_by(name: str) -> str:
    """What makes a file of a run folder, as advice."""
    aside = next((stage.name for stage in ASIDE if name in stage.writes), None)
    return "run the earlier stages first (pumice run)" if aside is None else f"run 'pumice {aside}' there first"


def settings_of(stage: Stage, config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``config`` that the outputs of ``stage`` depend on, by section."""
    settings = {}
    for section in stage.sections:
        value: Any = config
        for key in section.split("."):
            value = value[key]
        settings[section] = value
    return settings


def first_difference(there: Any, here: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """The first differing (dotted key, value there, value here) of two nested mappings; None where they agree.

    A setting that came later than a folder was there as `SINCE` says.
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in sorted({*there, *here}):
            inner = f"{key}.{name}" if key else str(name)
            before = SINCE.get(inner)
            difference = first_difference(there.get(name, before), here.get(name, before), inner)
            if difference is not None:
                return difference
        return None
    return None if there == here else (key, there, here)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    """Give a list that holds the block's wall-clock seconds once it has ended."""
    seconds: list[float] = []
    start = time.monotonic()
    yield seconds
    seconds.append(time.monotonic() - start)
