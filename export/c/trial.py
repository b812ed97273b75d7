"""Known answers, tried with the compiler of this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from ...errors import ParityError, PumiceError
from .compiler import compile_files


def run_known(folder: str | Path, name: str) -> str:
    """Compile a folder's ``known.c`` elsewhere and run it; gives the line that it prints.

    Raises:
        BackendUnavailable: no compiler.
        ParityError: logits differ.
        PumiceError: it does not compile or does not end.
    """
    with tempfile.TemporaryDirectory(prefix="pumice-c-") as temporary:
        place = Path(temporary)
        for file in (f"{name}.c", f"{name}.h", "known.c"):
            shutil.copyfile(Path(folder) / file, place / file)
        known = compile_files(place, ["known.c", f"{name}.c"], "known", ["-O2"])
        done = subprocess.run([str(known)], capture_output=True, text=True, check=False)
    said = done.stdout.strip()
    if done.returncode == 1 and said:
        raise ParityError(f"{folder}: {said}; report this with program.npz")
    if done.returncode:
        raise PumiceError(f"{folder}: known.c ends with code {done.returncode}; report this with program.npz")
    return said
