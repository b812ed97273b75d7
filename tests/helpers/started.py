"""``pumice`` in processes of their own, forked from one that has torch and the stages loaded: they start in no time."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRELOADED = ["pumice.cli.run", *(f"pumice.stages.{name}" for name in ("simulate", "export_onnx", "count", "report"))]
CHILD = """
import os, resource, signal, sys
for number, name in enumerate(logs, 1):
    os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
if crash_at is not None:  # kill -9 just before, or just after, the file number crash_at gets its name
    seen, replace = 0, os.replace
    def crashing(*arguments, **options):
        global seen
        seen += 1
        if seen == crash_at[0] and not crash_at[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*arguments, **options)
        if seen == crash_at[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    os.replace = crashing
if largest is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
if cwd is not None:
    os.chdir(cwd)
sys.path += path
if code is None:
    from pumice.cli.main import main
    main(arguments)
sys.argv[1:] = arguments
exec(compile(code, "script", "exec"), {"__name__": "__main__"})
"""


@dataclass
class Started:
    """A command in a process of its own."""

    process: Any
    logs: tuple[Path, Path]

    def ended(self) -> tuple[int, str]:
        """Exit code (negative: the signal) and all that was printed, errors last."""
        self.process.join(500)
        assert self.process.exitcode is not None, "it does not end"
        return self.process.exitcode, "".join(log.read_text() for log in self.logs if log.exists())

    @property
    def printed(self) -> str:
        """What it printed so far, errors aside."""
        return self.logs[0].read_text()

    @property
    def errors(self) -> str:
        """What it printed as errors so far."""
        return self.logs[1].read_text()


class Starter:
    """Called with the arguments of ``pumice``, gives a `Started`; what still runs is killed in the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._started: list[Any] = []

    def __enter__(self) -> Starter:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()
            process.join()

    def __call__(
        self,
        *arguments: str,
        crash_at: tuple[int, bool] | None = None,
        largest: int | None = None,
        cwd: Path | None = None,
        path: tuple[str, ...] = (),
        code: str | None = None,
    ) -> Started:
        """Start it.

        Args:
            arguments: of the command.
            crash_at: the number of a file whose naming kills the process, and whether afterwards or before.
            largest: how many bytes a file may have.
            cwd: its working folder.
            path: where it finds further modules.
            code: a script to run with these arguments in place of the command; Pumice and torch are loaded.
        """
        logs = tuple(self._folder / f"{len(self._started)}.{stream}" for stream in ("out", "err"))
        names = {"arguments": arguments, "logs": [*map(str, logs)], "crash_at": crash_at, "largest": largest}
        names |= {"cwd": cwd, "path": path, "code": code}
        process = self._context.Process(target=exec, args=(CHILD, names))
        process.start()
        self._started.append(process)
        return Started(process, logs)
