"""Runs a bundle under supervision: an exception in a Lava process model leaves run() waiting for ever."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import PumiceError
from ...quantize.program import load
from .environment import ensure_environment
from .runtime.failures import FOLDER
from .runtime.flags import RESET, VALID
from .runtime.progress import PROGRESS
from .runtime.wiring import Wires, wire, wire_fused

_POLL_S = 0.1
_GRACE_S = 10.0


@dataclass(frozen=True)
class PortRecord:
    """What one process sent, one entry a sample; the last record of a run holds the logits.

    ``values``, (rows, channels) int64: a row for each event it sent; of the read-out a row for the value before any
    event and after each; so of a fused network. ``states``, (events, channels) int64: a row for each event it took.
    """

    name: str
    values: list[np.ndarray]
    states: list[np.ndarray]


def run_bundle(
    folder: str | Path,
    timeout_s: float = 600.0,
    fused: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[PortRecord]:
    """Run a bundle in the Lava environment and read what its processes sent, in the order of the layers.

    ``progress`` is called now and then with the steps sent and all steps.
    Its processes end with this call, whatever happens: an error, Ctrl-C, or the death of this process.

    Raises:
        PumiceError: no environment, a folder that cannot be written to, a process that failed (its last line is
            quoted), or no end before the timeout.
    """
    folder = Path(folder).resolve()
    python = ensure_environment()
    log = folder / "run.log"
    command = [str(python), "run.py", "--parent", str(os.getpid()), *(["--fused"] if fused else [])]
    try:
        for old in ("outputs", FOLDER):  # before the first look at them
            shutil.rmtree(folder / old, ignore_errors=True)
        (folder / PROGRESS).unlink(missing_ok=True)
        stream = log.open("wb")
    except OSError as error:
        raise PumiceError(
            f"cannot write {log}: {error.strerror or error}; copy the bundle to another folder"
        ) from error
    with stream:
        process = subprocess.Popen(command, cwd=folder, stdout=stream, stderr=stream, start_new_session=True)
        try:
            _wait(process, folder, timeout_s, _teller(folder, progress))
        finally:
            _end(process)
    if not (folder / "outputs" / "done").exists():
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no message"]
        raise PumiceError(f"the Lava run in {folder} failed: {lines[-1]}; see run.log there")
    return _read(folder, fused)


def _teller(folder: Path, progress: Callable[[int, int], None] | None) -> Callable[[], None]:
    """Tells ``progress`` of every new step that the source has noted."""
    with np.load(folder / "inputs.npz", allow_pickle=False) as archive:
        steps = len(archive["flags"])
    told = 0

    def tell() -> None:
        nonlocal told
        noted = folder / PROGRESS
        step = int(noted.read_text(encoding="utf-8") or told) if noted.exists() else 0
        if progress is not None and step > told:
            progress(step, steps)
        told = step

    return tell


def _wait(process: subprocess.Popen[bytes], folder: Path, timeout_s: float, tell: Callable[[], None]) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        tell()
        ended = process.poll() is not None
        failures = sorted((folder / FOLDER).glob("*.txt"))
        if failures:
            last = failures[0].read_text(encoding="utf-8").strip().splitlines()[-1]
            raise PumiceError(f"a Lava process of {folder} failed: {last}; the traceback is in {failures[0].name}")
        if ended:
            return
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


def _read(folder: Path, fused: bool) -> list[PortRecord]:
    with np.load(folder / "inputs.npz", allow_pickle=False) as archive:
        source_flags = archive["flags"][:, 0]
    starts = np.flatnonzero(source_flags & RESET)
    pieces = [slice(start, end) for start, end in zip(starts, [*starts[1:], len(source_flags)], strict=True)]
    records = []
    taken = (source_flags & VALID).astype(bool)
    program = load(folder / "program.npz")
    for part in [wire_fused(program)] if fused else wire(program):
        values = _array(folder, part, "value")
        sent = np.ones(len(values), dtype=bool)
        states = _array(folder, part, "state") if part.state_size else np.zeros((len(values), 0), dtype=np.int64)
        if not fused and part.name != "readout":
            sent = (_array(folder, part, "flag")[:, 0] & VALID).astype(bool)
        records.append(
            PortRecord(
                name=part.name,
                values=[values[piece][sent[piece]] for piece in pieces],
                states=[states[piece][taken[piece]] for piece in pieces],
            )
        )
        taken = sent
    return records


def _array(folder: Path, part: Wires, what: str) -> np.ndarray:
    return np.load(folder / "outputs" / f"{part.file_name}.{what}.npy", allow_pickle=False)
