"""A folder with a program in C."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...files import atomic_folder
from ...program.samples import Sample
from .build import filled
from .generated import Generated
from .known import known_answers, main_program
from .readme import readme
from .source import sources


def write_c(generated: Generated, folder: str | Path, samples: Sequence[Sample], logits: np.ndarray) -> Path:
    """Write the program, its main and Makefile, known answers and a README; all or nothing.

    Args:
        generated: the program.
        folder: must not exist.
        samples: of the known answers.
        logits: (samples, classes) int64, what the simulator gives.

    Raises:
        PumiceError: the folder exists or cannot be written to, or a node that C has no form of.
        ProgramError: a sample that the program cannot take.
    """
    folder, name = Path(folder), generated.name
    texts = {
        **sources(generated),
        "main.c": main_program(generated),
        "known.c": known_answers(generated, samples, logits),
        "Makefile": filled("Makefile", name=name),
        "README.md": readme(generated),
    }
    with atomic_folder(folder) as fresh:
        for file, text in texts.items():
            (fresh / file).write_text(text, encoding="utf-8")
    return folder
