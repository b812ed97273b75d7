"""A folder that runs a program as a Lava network, on its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from ...errors import PumiceError
from ...quantize.program import Program, save
from ...quantize.program.clock import gaps
from ...quantize.program.nodes import DenseInput
from .runtime.flags import RESET, VALID
from .runtime.wiring import wire

Sample = tuple[np.ndarray, np.ndarray]
"""Tokens (L,) or dense values (L, d), and times (L,) in integer microseconds, not decreasing."""

PACKAGES = ("quantize/program", "export/lava/runtime")
"""What a bundle copies of this package; it keeps its place, so that imports read the same."""


def write_bundle(program: Program, samples: Sequence[Sample], folder: str | Path) -> Path:
    """Write ``program.npz``, ``inputs.npz``, the modules that run them, and ``run.py``. The folder must not exist.

    Raises:
        PumiceError: the folder exists or cannot be written to.
        ProgramError: a program that does not split into layers, or times that go backwards.
    """
    folder = Path(folder)
    wire(program)
    root = resources.files(__package__.split(".")[0])
    try:
        folder.mkdir(parents=True)
        for package in PACKAGES:
            parts = package.split("/")
            for depth in range(len(parts)):
                parent = folder.joinpath("pumice", *parts[:depth])
                parent.mkdir(parents=True, exist_ok=True)
                (parent / "__init__.py").touch()
            with resources.as_file(root.joinpath(*parts)) as source:
                shutil.copytree(
                    source, folder.joinpath("pumice", *parts), ignore=shutil.ignore_patterns("__pycache__", "run.py")
                )
        (folder / "run.py").write_bytes(root.joinpath(*PACKAGES[1].split("/"), "run.py").read_bytes())
        np.savez(folder / "inputs.npz", **source_arrays(program, samples))
    except OSError as error:
        raise PumiceError(
            f"cannot write the bundle {folder}: {error.strerror or error}; choose another folder"
        ) from error
    save(program, folder / "program.npz")
    return folder


def source_arrays(program: Program, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """What the Source process sends: all samples in turn, each led by a step that resets and carries no event."""
    source = program.value_input
    decay_gap = wire(program)[0].gap_in
    rows: dict[str, list[np.ndarray]] = {"values": [], "gaps": [], "pool_gaps": [], "flags": []}
    for data, times in samples:
        count = max(len(times) - (program.pairing == "next"), 0)
        between = {node.name: gaps(times, node.unit_us, program.pairing) for node in program.gap_inputs}
        values = np.asarray(data)[:count]
        values = _codes(source, values) if isinstance(source, DenseInput) else values.astype(np.int64)
        zeros = np.zeros(count, dtype=np.int64)
        pool_gap = next((between[name] for name in between if name != decay_gap), between.get(decay_gap, zeros))
        rows["values"].append(_led(values.reshape(count, source.channels), 0))
        rows["gaps"].append(_led(between.get(decay_gap, zeros)[:, None], 0))
        rows["pool_gaps"].append(_led(pool_gap[:, None], 0))
        rows["flags"].append(_led(np.full((count, 1), VALID), RESET))
    return {name: np.concatenate(arrays).astype(np.int64) for name, arrays in rows.items()}


def _codes(source: DenseInput, values: np.ndarray) -> np.ndarray:
    scaled = np.floor(values.astype(np.float64) * 2.0**source.output.frac + 0.5)
    return np.clip(scaled, source.output.min, source.output.max).astype(np.int64)


def _led(rows: np.ndarray, first: int) -> np.ndarray:
    return np.concatenate([np.full((1, rows.shape[1]), first, dtype=np.int64), rows])
