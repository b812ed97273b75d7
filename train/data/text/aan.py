"""Pairs of papers, byte by byte: does one cite the other? (Radev et al. 2013, as in the Long Range Arena)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....errors import PumiceError
from ..advice import CORRECT_OR_FETCH
from ..sequences.sets import SequenceSet, Streams
from ..sequences.task import SequenceTask
from .tokens import ends_with, padded

CLASSES = ("apart", "cites")
LABELS = {b"0.0": 0, b"0": 0, b"1.0": 1, b"1": 1}
COLUMNS = 5
"""Label, two numbers, two texts."""
FILES = {
    "train": "new_aan_pairs.train.tsv",
    "validation": "new_aan_pairs.eval.tsv",
    "test": "new_aan_pairs.test.tsv",
}
FOLDERS = ("", "tsv_data", "lra_release/lra_release/tsv_data")
MOST_LINE, MOST_PAIRS = 1 << 22, 1 << 20


class PairBatch(NamedTuple):
    """A padded batch of B pairs of texts.

    inputs: int64 (B, 2, T), 0 in the padding.
    lengths: int64 (B, 2).
    targets: int64 (B, 1), the class of each pair.
    """

    inputs: Tensor
    lengths: Tensor
    targets: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PairBatch:
        """Return the batch on ``device``."""
        return PairBatch(*(tensor.to(device, non_blocking=non_blocking) for tensor in self))

    def apply(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """The model's logits (B, C) and the classes (B,).

        Raises:
            PumiceError: the model does not compare texts.
        """
        compare = getattr(model, "compare", None)
        if compare is None:
            raise PumiceError(
                "pairs of texts need a model that compares: model.family=spikingssm, model.head=retrieval"
            )
        return compare(self.inputs, self.lengths), self.targets[:, 0]


class PairSet(SequenceSet):
    """Pairs of a file, of which only places and labels are kept; texts are read when they are asked for.

    Args:
        path: of the file.
        most_tokens: longer texts are cut off behind so many.
        places: int64 (N,), where each line begins.
        labels: int64 (N,).
        lengths: int64 (N,), bytes of each line, by which batches are put together.
    """

    class_names = CLASSES
    in_features = 1

    def __init__(
        self,
        path: Path,
        most_tokens: int,
        places: NDArray[np.int64],
        labels: NDArray[np.int64],
        lengths: NDArray[np.int64],
    ) -> None:
        self.name, self.path, self.most_tokens = str(path), path, most_tokens
        self.places, self.labels, self.lengths = places, labels, lengths

    def subset(self, chosen: NDArray[np.int64]) -> PairSet:
        """See `SequenceSet.subset`."""
        kept = (self.places[chosen], self.labels[chosen], self.lengths[chosen])
        return PairSet(self.path, self.most_tokens, *kept)

    def batch(self, samples: Sequence[int], streams: Streams | None) -> PairBatch:  # type: ignore[override]
        """See `SequenceSet.batch`."""
        with self.path.open("rb") as file:
            pairs = [self._pair(file, int(self.places[index])) for index in samples]
        texts = [text for pair in pairs for text in pair]
        tokens, lengths = padded(texts)
        return PairBatch(
            torch.from_numpy(tokens).reshape(len(pairs), 2, -1),
            torch.from_numpy(lengths).reshape(len(pairs), 2),
            torch.from_numpy(self.labels[list(samples)]).unsqueeze(1),
        )

    def _pair(self, file: BinaryIO, place: int) -> list[NDArray[np.uint16]]:
        file.seek(place)
        columns = _columns(file.readline(MOST_LINE + 1))
        return [ends_with(columns[number][: self.most_tokens], self.most_tokens) for number in (3, 4)]


def _columns(line: bytes) -> list[bytes]:
    """The columns of a line.

    Raises:
        ValueError: what is wrong.
    """
    columns = line.rstrip(b"\r\n").split(b"\t")
    if len(line) > MOST_LINE or len(columns) != COLUMNS or columns[0] not in LABELS:
        raise ValueError(f"it is no label, two numbers and two texts, in less than {MOST_LINE:,} bytes")
    return columns


@dataclass(frozen=True, kw_only=True)
class AanTask(SequenceTask):
    """Whether one paper cites the other; tokens are bytes and an end. It brings a validation split of its own.

    root: folder of the published files.
    most_tokens: longer texts are cut off behind so many.
    """

    reads_tokens = True
    answers = "pair"
    root: str | None = None
    most_tokens: int = 4000

    outputs = property(lambda self: len(CLASSES))
    in_features = property(lambda self: 1)
    vocab = property(lambda self: 257)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.most_tokens < 1:
            raise PumiceError(f"task.most_tokens={self.most_tokens} has to be at least 1")

    @property
    def own_validation(self) -> bool:
        """The published files have one."""
        return True

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        root, name = self.folder(self.root), FILES[split]
        path = next((root / folder / name for folder in FOLDERS if (root / folder / name).is_file()), None)
        if path is None:
            raise PumiceError(f"{root / name} does not exist; set task.root to the folder that holds {name}")
        places, labels, lengths = [], [], []
        try:
            with path.open("rb") as file:
                place = 0
                while line := file.readline(MOST_LINE + 1):
                    labels.append(LABELS[_columns(line)[0]])
                    places.append(place)
                    lengths.append(len(line))
                    place += len(line)
                    if len(labels) > MOST_PAIRS:
                        raise ValueError(f"it has more than {MOST_PAIRS:,} lines")
            if not labels:
                raise ValueError("it is empty")
        except (OSError, ValueError) as error:
            raise PumiceError(f"{path}, line {len(labels) + 1}: {error}; {CORRECT_OR_FETCH}") from error
        return PairSet(path, self.most_tokens, *(np.array(each, dtype=np.int64) for each in (places, labels, lengths)))
