"""Runs a bundle under supervision: an exception in a Lava process model leaves run() waiting for ever."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...errors import PumiceError
from ...program import load
from .environment import ensure_environment
from .runtime.failures import FOLDER
from .runtime.parts import LAYERS, split
from .runtime.progress import PROGRESS
from .runtime.recordings import PortRecord, read
from .runtime.synapses import check_parts

_POLL_S = 0.1
_GRACE_S = 10.0


class LavaFailure(PumiceError):
    """A run ended with an error; the bundle's folder holds what it left: ``failures/`` and ``run.log``."""


def run_bundle(
    folder: str | Path,
    timeout_s: float = 600.0,
    parts: str = LAYERS,
    progress: Callable[[int, int], None] | None = None,
) -> list[PortRecord]:
    """Run a bundle in the Lava environment and read what its processes sent, in the order of the layers.

    ``parts`` is one of ``runtime.parts.PARTS``. ``progress`` is called now and then with the steps sent and all steps.
    Its processes end with this call, whatever happens: an error, Ctrl-C, or the death of this process.

    Raises:
        LavaFailure: a process that failed; its last line is quoted.
        PumiceError: no environment, a folder that cannot be written to, or no end before the timeout.
        ProgramError: the program cannot be read, or made of these parts.
    """
    folder = Path(folder).resolve()
    program = load(folder / "program.npz")
    check_parts(program, parts)
    python = ensure_environment()
    log = folder / "run.log"
    quiet = "ignore::UserWarning:multiprocessing.resource_tracker"  # it would have the last word in the log
    command = [str(python), "-W", quiet, "run.py", "--parent", str(os.getpid()), "--parts", parts]
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
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [
            "no message; is its disk full?"
        ]
        raise LavaFailure(f"the Lava run in {folder} failed: {lines[-1]}; see run.log there")
    return read(folder / "outputs", split(program), _flags(folder))


def _teller(folder: Path, progress: Callable[[int, int], None] | None) -> Callable[[], None]:
    """Tells ``progress`` of every new step that the source has noted."""
    steps, told = len(_flags(folder)), 0

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
            raise LavaFailure(f"a Lava process of {folder} failed: {last}; the traceback is in {failures[0].name}")
        if ended:
            return
        if time.monotonic() > deadline:
            cure = "raise simulate.lava_timeout_s"
            raise PumiceError(f"the Lava run in {folder} did not end within {timeout_s:g} s; {cure}")
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


def _flags(folder: Path) -> np.ndarray:
    with np.load(folder / "inputs.npz", allow_pickle=False) as archive:
        return archive["flags"][:, 0]
