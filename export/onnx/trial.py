"""The script that tries models on their known answers (``check.py``), written beside them and run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...archives import save_arrays
from ...errors import ParityError, PumiceError
from ...files import atomic_path

NAME = "check.py"
RUN, EXAMPLES = "run.py", "examples.npz"


def write_check(folder: Path) -> Path:
    """Write the script into ``folder``.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    with atomic_path(folder / NAME) as temporary:
        temporary.write_bytes(Path(__file__).with_name(NAME).read_bytes())
    return folder / NAME


def write_run(folder: Path, recordings: Sequence[Mapping[str, np.ndarray]], logits: np.ndarray) -> Path:
    """Write the script that turns recordings into classes (``run.py``), and some to try it on (``examples.npz``).

    Args:
        folder: of the models.
        recordings: columns t, x, y, p, or ``rows``, as they lie in files.
        logits: (N, classes) int64 that the program gives of them.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    with atomic_path(folder / RUN) as temporary:
        temporary.write_bytes(Path(__file__).with_name(RUN).read_bytes())
    arrays = {f"{number}_{name}": column for number, found in enumerate(recordings) for name, column in found.items()}
    save_arrays(folder / EXAMPLES, {**arrays, "logits": logits})
    return folder / RUN


def run_examples(folder: Path) -> str:
    """Run `write_run`'s script on its examples in a process of its own, as a user would; gives what it says.

    Raises:
        ParityError: logits differ.
        PumiceError: the script does not come to an end.
    """
    done = subprocess.run([sys.executable, RUN], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise PumiceError(f"{folder / RUN} fails ({done.stderr.strip().splitlines()[-1:]}); write it anew")
    if done.returncode:
        raise ParityError(f"{folder / RUN}: {done.stdout.strip()}; report this with program.npz")
    return done.stdout.strip()


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
