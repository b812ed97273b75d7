"""A folder that runs a program as a Lava network, on its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from ...errors import PumiceError
from ...files import PARTIAL, write_json
from ...program import Program, save
from ...program.samples import Sample
from ..about import about_input, copy_encoder
from .readme import readme
from .runtime.sending import source_arrays

ENCODING = "encoding.json"
"""What the program says of its input, for recordings of one's own."""
PACKAGES = ("program", "export/lava/runtime")
"""What a bundle copies of this package; it keeps its place, so that imports read the same."""


def write_bundle(
    program: Program, samples: Sequence[Sample], folder: str | Path, logits: np.ndarray | None = None
) -> Path:
    """Write ``program.npz``, ``inputs.npz``, the modules that run them, ``run.py`` with what it needs to read
    recordings, and ``README.md``; all or nothing.

    Args:
        program: what the network computes.
        samples: what it computes it on.
        folder: must not exist.
        logits: (samples, classes) int64, what the simulator gives; ``run.py`` then compares with them.

    Raises:
        PumiceError: the folder exists or cannot be written to.
        ProgramError: a program that does not split into layers, or a sample that it cannot take.
    """
    folder = Path(folder)
    arrays = source_arrays(program, samples)
    text = readme(program, len(samples), len(arrays["flags"]))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{PARTIAL}{folder.name}-", dir=folder.parent) as temporary:
            fresh = Path(temporary) / "bundle"
            _copy_modules(fresh)
            (fresh / "README.md").write_text(text, encoding="utf-8")
            copy_encoder(fresh)
            write_json(fresh / ENCODING, about_input(program))
            np.savez(fresh / "inputs.npz", **arrays)
            if logits is not None:
                np.savez(fresh / "expected.npz", logits=np.asarray(logits, dtype=np.int64))
            save(program, fresh / "program.npz")
            if folder.exists():
                raise FileExistsError(17, "File exists")
            fresh.rename(folder)
    except OSError as error:
        raise PumiceError(
            f"cannot write the bundle {folder}: {error.strerror or error}; choose another folder"
        ) from error
    return folder


def _copy_modules(folder: Path) -> None:
    root = resources.files(__package__.split(".")[0])
    for package in PACKAGES:
        parts = package.split("/")
        for depth in range(len(parts)):
            parent = folder.joinpath("pumice", *parts[:depth])
            parent.mkdir(parents=True, exist_ok=True)
            (parent / "__init__.py").touch()
        with resources.as_file(root.joinpath(*parts)) as source:
            ignore = shutil.ignore_patterns("__pycache__", "run.py", "random")  # random programs are for tests
            shutil.copytree(source, folder.joinpath("pumice", *parts), ignore=ignore)
    (folder / "run.py").write_bytes(root.joinpath(*PACKAGES[1].split("/"), "run.py").read_bytes())
