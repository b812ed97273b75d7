"""The script that tries models on their known answers (``check.py``), written beside them and run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...archives import save_arrays
from ...errors import ParityError, PumiceError
from ...files import copy_file
from ..about import copy_encoder

NAME = "check.py"
RUN, EXAMPLES = "run.py", "examples.npz"


def write_check(folder: Path) -> Path:
    """Write the script into ``folder``.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    return _write_script(folder, NAME)


def write_run(folder: Path, recordings: Sequence[Mapping[str, np.ndarray]], logits: np.ndarray) -> Path:
    """Write what turns recordings into classes (``run.py``, ``encode.py``), and some to try it on (``examples.npz``).

    Args:
        folder: of the models.
        recordings: columns t, x, y, p, or ``rows``, as they lie in files.
        logits: (N, classes) int64 that the program gives of them.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    arrays = {f"{number}_{name}": column for number, found in enumerate(recordings) for name, column in found.items()}
    script = _write_script(folder, RUN)
    copy_encoder(folder)
    save_arrays(folder / EXAMPLES, {**arrays, "logits": logits})
    return script


def run_examples(folder: Path) -> str:
    """Run `write_run`'s script on its examples in a process of its own, as a user would; gives what it says.

    Raises:
        ParityError: logits differ.
        PumiceError: the script does not come to an end.
    """
    differs, lines = _run_script(folder, RUN)
    if differs:
        raise ParityError(f"{folder / RUN}: {lines[-1]}; report this with program.npz")
    return lines[-1]


def run_check(folder: Path, models: Sequence[str], runtime: str = "onnxruntime") -> list[str]:
    """Run the script in a process of its own, as a user would; gives a line a model.

    Raises:
        ParityError: numbers differ.
        PumiceError: the script does not come to an end.
    """
    differs, lines = _run_script(folder, NAME, runtime, *models)
    if differs:
        raise ParityError(f"{next(line for line in lines if 'do not use' in line)}; report this with program.npz")
    return lines


def _write_script(folder: Path, name: str) -> Path:
    copy_file(Path(__file__).with_name(name), folder / name)
    return folder / name


def _run_script(folder: Path, name: str, *words: str) -> tuple[bool, list[str]]:
    """Whether the script found numbers that differ (its exit code 1), and the lines that it printed."""
    command = [sys.executable, name, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise PumiceError(f"{folder / name} fails ({done.stderr.strip().splitlines()[-1:]}); write it anew")
    return done.returncode == 1, done.stdout.splitlines()
