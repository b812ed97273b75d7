"""Logits of a finished run against those that the bundle came with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....program import Program
from ....program.archive import read_arrays
from .parts import split
from .recordings import read


def check(program: Program, flags: np.ndarray, outputs: Path) -> int:
    """Print the class of each sample's largest logit, and how many differ from ``expected.npz``; return that number.

    0 without such a file.

    Shapes: ``flags`` (rows,), as the source sent them.
    """
    logits = np.stack([rows[-1] for rows in read(outputs, split(program), flags)[-1].values])
    print(f"{len(flags)} steps, {len(logits)} samples")
    for sample, row in enumerate(logits):
        print(f"sample {sample}: largest logit of {program.class_names[int(row.argmax())]}")
    if not Path("expected.npz").exists():
        return 0
    expected = read_arrays("expected.npz")["logits"]
    differing = int((expected != logits).sum()) if expected.shape == logits.shape else logits.size
    print(f"{differing} of {logits.size} logits differ from the simulator's")
    return differing
