"""Logits of a finished run against those that the bundle came with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....quantize.program import Program
from .flags import RESET


def check(program: Program, flags: np.ndarray, outputs: Path) -> int:
    """Print each sample's class and how many logits differ from ``expected.npz``, if that is there; return the latter.

    Shapes: ``flags`` (steps,), as the source sent them.
    """
    values = np.load(next(outputs / name for name in NAMES if (outputs / name).exists()), allow_pickle=False)
    ends = np.append(np.flatnonzero(flags & RESET)[1:], len(flags)) - 1
    logits = values[ends]
    print(f"{len(flags)} steps, {len(logits)} samples")
    for sample, row in enumerate(logits):
        print(f"sample {sample}: {program.class_names[int(row.argmax())]}")
    if not Path("expected.npz").exists():
        return 0
    with np.load("expected.npz", allow_pickle=False) as archive:
        differing = int((archive["logits"] != logits).sum())
    print(f"{differing} of {logits.size} logits differ from the simulator's")
    return differing


NAMES = ("readout.value.npy", "network.value.npy")
"""Where the logits lie: of layers, of the fused network."""
