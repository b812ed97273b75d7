"""ListOps (Nangia and Bowman 2018) as the Long Range Arena publishes it: nested lists of digits and operations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ..advice import CORRECT_OR_FETCH
from ..files.columns import read_limited
from .tokens import TextTask

TOKENS = (*map(str, range(10)), "[MIN", "[MAX", "[MED", "[SM", "]", "<end>")
"""By their numbers."""
NUMBERS = {token: number for number, token in enumerate(TOKENS[:-1])}
FILES = {"train": "basic_train.tsv", "validation": "basic_val.tsv", "test": "basic_test.tsv"}
FOLDERS = ("", "listops-1000", "lra_release/listops-1000")


def tokenize(source: str) -> NDArray[np.uint16]:
    """The numbers of an expression's tokens, its round brackets left out, and the end.

    Raises:
        ValueError: naming a token that is none.
    """
    try:
        numbers = [NUMBERS[token] for token in source.translate({ord("("): None, ord(")"): None}).split()]
    except KeyError as error:
        raise ValueError(f"{error} is no token of ListOps") from None
    return np.array([*numbers, len(NUMBERS)], dtype=np.uint16)


@dataclass(frozen=True, kw_only=True)
class ListOpsTask(TextTask):
    """Values 0 to 9 of expressions; it brings a validation split of its own."""

    classes = tuple(map(str, range(10)))
    tokens = len(TOKENS)
    most_tokens: int = 2048

    @property
    def own_validation(self) -> bool:
        """The published files have one."""
        return True

    def read(self, root: Path, split: str) -> tuple[list[NDArray[np.uint16]], list[int]]:
        """See `TextTask.read`."""
        name = FILES[split]
        path = next((root / folder / name for folder in FOLDERS if (root / folder / name).is_file()), None)
        if path is None:
            raise PumiceError(f"{root / name} does not exist; set task.root to the folder that holds {name}")
        texts, labels = [], []
        try:
            header, *lines = read_limited(path).decode("ascii").splitlines()
            if header.split("\t") != ["Source", "Target"] or not lines:
                raise ValueError("its columns are not Source and Target")
            for number, line in enumerate(lines, 2):
                source, _, target = line.partition("\t")
                if len(target) != 1 or target not in self.classes:
                    raise ValueError(f"line {number} has no digit behind its expression")
                texts.append(tokenize(source))
                labels.append(int(target))
        except (OSError, ValueError) as error:
            raise PumiceError(f"{path} cannot be read as ListOps ({error}); {CORRECT_OR_FETCH}") from error
        return texts, labels
