"""The C compiler of this machine, if it has one."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ...errors import BackendUnavailable, PumiceError

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion")
"""What every generated file is compiled with."""

_TRIAL = "#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\nint main(void) { return 0; }\n"
_SECONDS = 600


def find_compiler() -> list[str]:
    """The command of a compiler that makes executables: the variable CC, else cc, gcc or clang of the path.

    Raises:
        BackendUnavailable: there is none.
        PumiceError: the one that CC names makes none.
    """
    named = os.environ.get("CC", "").strip()
    if named:
        command = tuple(shlex.split(named))
        if not _works(command):
            raise PumiceError(f"CC names {named:.200}, which compiles no C; correct or unset it")
        return list(command)
    for candidate in ("cc", "gcc", "clang"):
        if shutil.which(candidate) and _works((candidate,)):
            return [candidate]
    raise BackendUnavailable("this machine has no C compiler; install gcc or clang, or name one in the variable CC")


@cache
def _works(command: tuple[str, ...]) -> bool:
    with tempfile.TemporaryDirectory(prefix="pumice-c-") as folder:
        source = Path(folder) / "trial.c"
        source.write_text(_TRIAL, encoding="utf-8")
        try:
            done = subprocess.run(
                [*command, "-o", "trial", "trial.c"], cwd=folder, capture_output=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def compile_files(folder: Path, sources: Sequence[str], target: str, flags: Sequence[str]) -> Path:
    """Compile C files of a folder to an executable there.

    Raises:
        BackendUnavailable: there is no compiler.
        PumiceError: it refuses a file; quotes its first complaint.
    """
    command = [*find_compiler(), *STRICT, *flags, "-o", target, *sources]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        lines = (
            [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["silence"]
        )
        raise PumiceError(f"{shlex.join(command)} fails: {lines[0]}; report this with the program")
    return folder / target
