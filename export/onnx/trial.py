"""The script that tries models on their known answers (``check.py``), written beside them and run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ...errors import ParityError, PumiceError
from ...files import atomic_path

NAME = "check.py"


def write_check(folder: Path) -> Path:
    """Write the script into ``folder``.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    with atomic_path(folder / NAME) as temporary:
        temporary.write_bytes(Path(__file__).with_name(NAME).read_bytes())
    return folder / NAME


def run_check(folder: Path, models: Sequence[str], runtime: str = "onnxruntime") -> list[str]:
    """Run the script in a process of its own, as a user would; gives a line a model.

    Raises:
        ParityError: numbers differ.
        PumiceError: the script does not come to an end.
    """
    command = [sys.executable, NAME, runtime, *models]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise PumiceError(f"{folder / NAME} fails ({done.stderr.strip().splitlines()[-1:]}); write it anew")
    lines = done.stdout.splitlines()
    if done.returncode:
        raise ParityError(f"{next(line for line in lines if 'do not use' in line)}; report this with program.npz")
    return lines
