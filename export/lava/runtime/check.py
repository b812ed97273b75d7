"""Logits of a finished run against those that the bundle came with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....program import Program, reference
from ....program.archive import read_arrays
from ....program.samples import Sample
from .parts import split
from .recordings import read


def check(program: Program, flags: np.ndarray, outputs: Path) -> int:
    """Print the class of each sample's largest logit, and how many differ from ``expected.npz``; return that number.

    0 without such a file.

    Shapes: ``flags`` (rows,), as the source sent them.
    """
    logits = _logits(program, flags, outputs)
    print(f"{len(flags)} steps, {len(logits)} samples")
    for sample, row in enumerate(logits):
        print(f"sample {sample}: largest logit of {program.class_names[int(row.argmax())]}")
    if not Path("expected.npz").exists():
        return 0
    expected = read_arrays("expected.npz")["logits"]
    differing = int((expected != logits).sum()) if expected.shape == logits.shape else logits.size
    print(f"{differing} of {logits.size} logits differ from the simulator's")
    return differing


def check_recordings(
    program: Program, samples: Sequence[Sample], names: Sequence[str], flags: np.ndarray, outputs: Path
) -> int:
    """Print class and score of each recording, and how many logits differ from the program's; return that number.

    They are compared with ``program.reference``, which lies in the bundle. Shapes: ``flags`` (rows,), as sent.
    """
    logits, scale = _logits(program, flags, outputs), program[program.logits].output.scale
    for name, row in zip(names, logits, strict=True):
        best = int(row.argmax())
        print(f"{name}: {program.class_names[best]}  {row[best] * scale:.3f}")
    expected = np.stack([trace.logits for trace in reference.run(program, samples)])
    differing = int((expected != logits).sum())
    print(f"{differing} of {logits.size} logits differ from the program's")
    return differing


def _logits(program: Program, flags: np.ndarray, outputs: Path) -> np.ndarray:
    """The last logits of each sample, (samples, classes)."""
    return np.stack([rows[-1] for rows in read(outputs, split(program), flags)[-1].values])
