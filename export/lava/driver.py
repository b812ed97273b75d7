"""Runs a bundle under supervision: an exception in a Lava process model leaves run() waiting for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import PumiceError
from ...quantize.program import load
from .environment import ensure_environment
from .runtime.failures import FOLDER
from .runtime.flags import RESET, VALID
from .runtime.wiring import wire

_POLL_S = 0.1
_GRACE_S = 10.0


@dataclass(frozen=True)
class PortRecord:
    """What one process sent, one entry a sample.

    ``values``, (rows, channels) int64: a row for each event it sent; of the read-out a row for the value before any
    event and after each. ``states``, (events, channels) int64: a row for each event it took.
    """

    name: str
    values: list[np.ndarray]
    states: list[np.ndarray]


def run_bundle(folder: str | Path, timeout_s: float = 600.0) -> list[PortRecord]:
    """Run a bundle in the Lava environment and read what its processes sent, in the order of the layers.

    Raises:
        PumiceError: no environment, a process that failed (its last line is quoted), or no end before the timeout.
    """
    folder = Path(folder).resolve()
    python = ensure_environment()
    log = folder / "run.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(python), "run.py"], cwd=folder, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            _wait(process, folder, time.monotonic() + timeout_s, timeout_s)
        finally:
            _end(process)
    if not (folder / "outputs" / "done").exists():
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no message"]
        raise PumiceError(f"the Lava run in {folder} failed: {lines[-1]}; see run.log there")
    return _read(folder)


def _wait(process: subprocess.Popen[bytes], folder: Path, deadline: float, timeout_s: float) -> None:
    while process.poll() is None:
        failures = sorted((folder / FOLDER).glob("*.txt"))
        if failures:
            last = failures[0].read_text(encoding="utf-8").strip().splitlines()[-1]
            raise PumiceError(f"a Lava process of {folder} failed: {last}; the traceback is in {failures[0].name}")
        if time.monotonic() > deadline:
            raise PumiceError(f"the Lava run in {folder} did not end within {timeout_s:g} s; raise the timeout")
        time.sleep(_POLL_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group. SIGTERM first: Python's resource tracker outlives it, and frees the shared memory of
    the ports once the others are gone.
    """
    deadline = time.monotonic() + _GRACE_S
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            process.poll()  # a zombie still counts as a member of its group
            os.killpg(process.pid, 0)
            time.sleep(_POLL_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(folder: Path) -> list[PortRecord]:
    with np.load(folder / "inputs.npz", allow_pickle=False) as archive:
        source_flags = archive["flags"][:, 0]
    starts = np.flatnonzero(source_flags & RESET)
    pieces = [slice(start, end) for start, end in zip(starts, [*starts[1:], len(source_flags)], strict=True)]
    records = []
    taken = (source_flags & VALID).astype(bool)
    for position, part in enumerate(wire(load(folder / "program.npz"))):
        values = _array(folder, position, "value")
        states, sent = np.zeros((len(values), 0), dtype=np.int64), np.ones(len(values), dtype=bool)
        if part.name != "readout":
            sent = (_array(folder, position, "flag")[:, 0] & VALID).astype(bool)
            states = _array(folder, position, "state")
        records.append(
            PortRecord(
                name=part.name,
                values=[values[piece][sent[piece]] for piece in pieces],
                states=[states[piece][taken[piece]] for piece in pieces],
            )
        )
        taken = sent
    return records


def _array(folder: Path, position: int, what: str) -> np.ndarray:
    return np.load(folder / "outputs" / f"{position}-{what}.npy", allow_pickle=False)
