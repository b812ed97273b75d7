"""Keeps a run from outliving its reason: Lava's own run() waits for ever when one of its processes is gone."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

from .failures import FOLDER

_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1


def supervise(parent: int | None = None) -> None:
    """Call it once, before Lava starts its processes. From then on the run ends

    - with the traceback on stderr and exit code 1, when a process model has failed;
    - when the process ``parent``, if given, is gone;
    - when this process is gone (Linux; elsewhere its processes have to be ended by hand).

    Ctrl-C reaches this process alone. Python's resource tracker frees the shared memory after the last one.
    """
    os.register_at_fork(before=_note_parent, after_in_child=_tie_to_parent)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def end_processes() -> None:
    """End the processes that Lava has started."""
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


def _watch(parent: int | None) -> None:
    while True:
        failures = sorted(Path(FOLDER).glob("*.txt"))
        if failures:
            print(failures[0].read_text(encoding="utf-8"), file=sys.stderr, flush=True)
        if failures or (parent is not None and os.getppid() != parent):
            end_processes()
            os._exit(1)  # the main thread waits inside Lava and would not see an exception
        time.sleep(_POLL_S)
