"""Sets of token sequences of many lengths, and the task that they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ....errors import PumiceError
from ..sequences.batch import BlockBatch, whole_sequences
from ..sequences.sets import SequenceSet, Streams
from ..sequences.task import SequenceTask

END = 256
"""Behind the bytes of a text."""


def padded(texts: Sequence[NDArray[np.uint16]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tokens (N, T), 0 in the padding, and lengths (N,) of texts."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    tokens = np.zeros((len(texts), lengths.max()), dtype=np.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    return tokens, lengths


def ends_with(content: bytes, most: int) -> NDArray[np.uint16]:
    """The first ``most`` tokens of a text: its bytes and the end."""
    return np.append(np.frombuffer(content, np.uint8).astype(np.uint16), np.uint16(END))[:most]


class TokenSet(SequenceSet):
    """Texts as tokens, one label each.

    Args:
        name: for messages.
        class_names: of the classes.
        texts: uint16 (T,) each, of at least one token.
        labels: int64 (N,).
    """

    in_features = 1

    def __init__(
        self, name: str, class_names: tuple[str, ...], texts: Sequence[NDArray[np.uint16]], labels: NDArray[np.int64]
    ) -> None:
        self.name, self.class_names, self.texts, self.labels = name, class_names, texts, labels
        self.lengths = np.array([len(text) for text in texts], dtype=np.int64)

    def subset(self, chosen: NDArray[np.int64]) -> TokenSet:
        """See `SequenceSet.subset`."""
        return TokenSet(self.name, self.class_names, [self.texts[index] for index in chosen], self.labels[chosen])

    def batch(self, samples: Sequence[int], streams: Streams | None) -> BlockBatch:
        """See `SequenceSet.batch`; tokens are int64 (B, T), 0 in the padding."""
        rows = list(samples)
        tokens, lengths = padded([self.texts[index] for index in rows])
        return whole_sequences(torch.from_numpy(tokens), self.labels[rows], lengths)


@dataclass(frozen=True, kw_only=True)
class TextTask(SequenceTask):
    """Texts with one label each.

    root: folder of the published files.
    most_tokens: longer texts are cut off behind so many.
    """

    classes: ClassVar[tuple[str, ...]]
    tokens: ClassVar[int]
    reads_tokens = True
    root: str | None = None
    most_tokens: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.most_tokens < 1:
            raise PumiceError(f"task.most_tokens={self.most_tokens} has to be at least 1")

    outputs = property(lambda self: len(self.classes))
    in_features = property(lambda self: 1)
    vocab = property(lambda self: self.tokens)

    @abstractmethod
    def read(self, root: Path, split: str) -> tuple[list[NDArray[np.uint16]], list[int]]:
        """Tokens and label of each text."""

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        root = self.folder(self.root)
        texts, labels = self.read(root, split)
        cut = [text[: self.most_tokens] for text in texts]
        return TokenSet(f"{self.name} in {root}", self.classes, cut, np.array(labels, dtype=np.int64))
