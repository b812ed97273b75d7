"""Batches of dense sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....models.host import knowing
from ..inputs import Inputs

IGNORED = -1
"""Target of a block that counts in no loss and no figure."""


class LabelledSequence(NamedTuple):
    """One sequence of T steps, cut into blocks.

    inputs: float32 (T, F). blocks: int64 (T,), the number of the block that each step belongs to, from 0. targets:
    int64 (N,), the class of each block; block 0 is always ``IGNORED`` and takes what is not labelled. Where values are
    to be told, float32 (N, F), NaN in place of ``IGNORED``.
    """

    inputs: NDArray[np.float32]
    blocks: NDArray[np.int64]
    targets: NDArray[Any]


def counted(targets: Tensor) -> Tensor:
    """Which blocks count, (B, N), of classes (B, N) or values (B, N, F)."""
    return ~targets.isnan().any(2) if targets.is_floating_point() else targets != IGNORED


def counted_rows(targets: Tensor) -> Tensor:
    """The blocks that count among all B N, (M,) int64, page-locked where ``targets`` are."""
    rows = counted(targets).flatten().nonzero().squeeze(1)
    return rows.pin_memory() if targets.is_pinned() else rows


def chosen(logits: Tensor, targets: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of logits (B, N, C) and targets (B, N) or (B, N, C) those of the blocks that count: ``rows``, or sought for."""
    if rows is None:
        where = counted(targets)
        return logits[where], targets[where]
    return logits.flatten(0, 1).index_select(0, rows), targets.flatten(0, 1).index_select(0, rows)


class BlockBatch(NamedTuple):
    """A padded batch of B labelled sequences of at most T steps and N blocks (Baronig et al. 2024).

    inputs: float32 (B, T, F), or tokens, int64 (B, T); 0 in the padding.
    blocks: int64 (B, T), 0 in the padding.
    targets: int64 (B, N), the class of each block, ``IGNORED`` for block 0 and in the padding; or float32 (B, N, F),
        its values, or NaN.
    lengths: int64 (B,), steps of each sequence.
    rows: int64 (M,), the blocks that count among all B N, and ``whole``, whether each sequence is labelled to its end:
        of batches on a device, as the host knew them; else None.
    """

    inputs: Tensor
    blocks: Tensor
    targets: Tensor
    lengths: Tensor
    rows: Tensor | None = None
    whole: bool | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> BlockBatch:
        """Return the batch on ``device``."""
        rows, whole = self.rows, self.whole
        if self.targets.device.type == "cpu" != torch.device(device).type:
            rows, whole = counted_rows(self.targets), bool((self.blocks[:, -1:] > 0).all())
        rows = None if rows is None else rows.to(device, non_blocking=non_blocking)
        inputs, blocks, targets, lengths = (part.to(device, non_blocking=non_blocking) for part in self[:4])
        return BlockBatch(inputs, blocks, targets, lengths, rows, whole)

    def apply(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """The model's logits (M, C) for the M blocks that are not ignored, and their classes (M,) or values (M, C)."""
        with knowing(whole=self.whole):
            logits = self.answers(model, self.blocks, self.targets.shape[1])
        return chosen(logits, self.targets, self.rows)

    def answers(self, model: nn.Module, blocks: Tensor, count: int) -> Tensor:
        """The model's logits (B, N, C) of ``count`` other blocks (B, T)."""
        return model(self.inputs, blocks, count)

    def padded(self) -> Inputs:
        """The samples as a model reads them."""
        return Inputs(self.inputs, None, self.lengths)


@runtime_checkable
class PredictsSeries(Protocol):
    """A model that predicts series."""

    def predict_series(self, inputs: Tensor, free_from: int) -> Tensor:
        """The step after each of ``inputs`` (B, T, F); from step ``free_from`` on its own values are its input."""


class SeriesBatch(NamedTuple):
    """A batch of B series to be predicted one step ahead.

    inputs: float32 (B, T, F).
    targets: float32 (B, T, F), the step after each input.
    free_from: int64 scalar on the host, the step from which on the model's own prediction is its input.
    """

    inputs: Tensor
    targets: Tensor
    free_from: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SeriesBatch:
        """Return the batch on ``device``."""
        inputs, targets = (part.to(device, non_blocking=non_blocking) for part in (self.inputs, self.targets))
        return SeriesBatch(inputs, targets, self.free_from.cpu())

    def apply(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """The model's predictions and the targets, both (B, T, F)."""
        assert isinstance(model, PredictsSeries)
        return model.predict_series(self.inputs, int(self.free_from)), self.targets


def collate_blocks(sequences: Sequence[LabelledSequence]) -> BlockBatch:
    """Pad sequences to the longest, and their blocks to the most."""
    lengths = np.array([len(sequence.inputs) for sequence in sequences], dtype=np.int64)
    steps, count, first = lengths.max(), max(len(sequence.targets) for sequence in sequences), sequences[0].targets
    inputs = np.zeros((len(sequences), steps, sequences[0].inputs.shape[1]), dtype=np.float32)
    blocks = np.zeros((len(sequences), steps), dtype=np.int64)
    none = np.nan if first.dtype.kind == "f" else IGNORED
    targets = np.full((len(sequences), count, *first.shape[1:]), none, dtype=first.dtype)
    for row, sequence in enumerate(sequences):
        inputs[row, : lengths[row]] = sequence.inputs
        blocks[row, : lengths[row]] = sequence.blocks
        targets[row, : len(sequence.targets)] = sequence.targets
    parts = (torch.from_numpy(part) for part in (inputs, blocks, targets, lengths))
    return BlockBatch(*parts)  # type: ignore[arg-type]  # they are four


def whole_sequences(inputs: Tensor, labels: NDArray[np.int64], lengths: NDArray[np.int64]) -> BlockBatch:
    """Padded inputs (B, T, ...) of so many steps (B,), one label (B,) each for all of its steps."""
    classes = torch.from_numpy(labels)
    if (lengths == inputs.shape[1]).all():
        blocks = torch.ones(1, dtype=torch.int64).expand(inputs.shape[:2])
    else:
        blocks = torch.from_numpy((np.arange(inputs.shape[1]) < lengths[:, None]).astype(np.int64))
    targets = torch.stack([torch.full_like(classes, IGNORED), classes], dim=1)
    return BlockBatch(inputs, blocks, targets, torch.from_numpy(lengths))


def labelled_stretch(steps: int, first: int, last: int | None = None) -> NDArray[np.int64]:
    """Blocks (steps,) of a sequence of one label: 1 from step ``first`` to before ``last``, 0 elsewhere."""
    blocks = np.zeros(steps, dtype=np.int64)
    blocks[first:last] = 1
    return blocks
