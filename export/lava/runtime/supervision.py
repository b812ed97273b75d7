"""Keeps a run from outliving its reason: Lava's own run() waits for ever when one of its processes is gone."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from .failures import FOLDER, fail

_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1


def supervise(parent: int | None = None) -> None:
    """Call it once, before Lava starts its processes. From then on the run ends

    - with the traceback on stderr and exit code 1, when a process model has failed, Lava's own ones included;
    - likewise when a process was killed;
    - when the process ``parent``, if given, is gone;
    - when this process is gone (Linux; elsewhere its processes have to be ended by hand).

    Ctrl-C reaches this process alone. Python's resource tracker frees the shared memory after the last one.
    """
    BaseProcess.start = _noted(BaseProcess.start)  # type: ignore[method-assign, assignment]
    os.register_at_fork(before=_note_parent, after_in_child=_tie_to_parent)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def stop(network: Any) -> None:
    """``network.stop()``: from now on processes may end."""
    _expect_ends()
    network.stop()


def end_processes() -> None:
    """End the processes that Lava has started."""
    _expect_ends()
    for process in multiprocessing.active_children():
        process.kill()


_forking = 0
"""The process that forks."""


def _note_parent() -> None:
    global _forking
    _forking = os.getpid()


def _tie_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != _forking:  # it went before it could be watched
            os._exit(1)


_looking = threading.Lock()
"""Held while the watching thread asks which processes have ended: Lava, too, waits for them, and only one may."""

_ends_expected = False

_started: list[BaseProcess] = []


def _expect_ends() -> None:
    global _ends_expected
    with _looking:
        _ends_expected = True


def _noted(start: Callable[[BaseProcess], None]) -> Callable[[BaseProcess], None]:
    """``start`` that keeps the process: multiprocessing forgets one that has ended."""

    @functools.wraps(start)
    def wrapper(process: BaseProcess) -> None:
        start(process)
        _started.append(process)

    return wrapper


def _note_lost() -> str:
    """What ended a process that should still run, written to ``failures/`` too; "" if all run."""
    with _looking:
        lost = [] if _ends_expected else [process for process in _started if _has_ended(process)]
    reasons = [(_raised(process), process) for process in lost]
    for raised, process in sorted(reasons, key=lambda each: not each[0]):  # others ended because of one that raised
        reason = raised or f"a process of Lava, {process.name}, ended too early with code {process.exitcode}"
        try:
            fail(reason, process.pid)
        except OSError as error:
            reason = f"{reason}\n{Path(FOLDER).resolve()} cannot be written: {error.strerror}"
        return reason
    return ""


def _has_ended(process: BaseProcess) -> bool:
    try:
        return not process.is_alive()
    except ValueError:  # closed by Lava, which has seen an error by itself and stops
        return False


def _raised(process: BaseProcess) -> str:
    """The traceback that a process of Lava sends before it ends as if all were well; "" if there is none."""
    try:
        error = getattr(process, "exception", None)
    except Exception as unreadable:  # whatever the unpickling of a foreign exception raises
        return f"{process.name} raised what cannot be read: {unreadable}"
    return error[1] if error else ""


def _watch(parent: int | None) -> None:
    while True:
        reason = _note_lost()
        failures = sorted(Path(FOLDER).glob("*.txt"))
        if failures:
            reason = failures[0].read_text(encoding="utf-8")
        if reason:
            print(reason, file=sys.stderr, flush=True)
        if reason or (parent is not None and os.getppid() != parent):
            end_processes()
            os._exit(1)  # the main thread waits inside Lava and would not see an exception
        time.sleep(_POLL_S)
