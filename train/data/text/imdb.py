"""Film reviews, byte by byte (Maas et al. 2011): the unpacked archive aclImdb."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from .tokens import END, TextTask, ends_with

CLASSES = ("neg", "pos")
MOST_BYTES = 1 << 20
"""Of a review; the longest has 14 kB."""


@dataclass(frozen=True, kw_only=True)
class ImdbTask(TextTask):
    """Whether a review is negative or positive; tokens are bytes and an end."""

    classes = CLASSES
    tokens = END + 1
    most_tokens: int = 4096

    def read(self, root: Path, split: str) -> tuple[list[NDArray[np.uint16]], list[int]]:
        """See `TextTask.read`; files are taken in order of their name."""
        base = next((base for base in (root / "aclImdb", root) if (base / split / CLASSES[0]).is_dir()), None)
        if base is None:
            raise PumiceError(
                f"{root / 'aclImdb' / split / CLASSES[0]} does not exist; set task.root to the folder that holds "
                "aclImdb, unpacked from the published archive"
            )
        texts, labels = [], []
        for label, name in enumerate(CLASSES):
            paths = sorted((base / split / name).glob("*.txt"))
            if not paths:
                raise PumiceError(f"{base / split / name} holds no reviews (.txt); unpack the archive anew")
            texts += [_read(path, self.most_tokens) for path in paths]
            labels += [label] * len(paths)
        return texts, labels


def _read(path: Path, most: int) -> NDArray[np.uint16]:
    """The first ``most`` bytes of a review, and the end if it comes within them."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        with path.open("rb") as file:
            content = file.read(most)
    except (OSError, ValueError) as error:
        raise PumiceError(f"{path} cannot be read as a review ({error}); unpack the archive anew") from error
    return ends_with(content, most)
