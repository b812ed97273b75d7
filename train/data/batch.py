"""What training and evaluation ask of a batch, whatever kind of task it belongs to."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ...models.host import check_tokens
from .inputs import Inputs


class Batch(Protocol):
    """A batch of any kind of task; it knows how a model reads it."""

    def to(self, device: Any, non_blocking: bool = False) -> Batch:
        """Return the batch on ``device``."""
        ...

    def apply(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """The model's outputs and their targets.

        Classification: logits (M, C), and soft labels (M, C) or classes (M,) int64. Regression: two equal shapes.
        """
        ...


def tells_values(batch: Any) -> bool:
    """Whether values of blocks are asked for, and not classes (`sequences.batch.BlockBatch`)."""
    return hasattr(batch, "blocks") and batch.targets.is_floating_point()


@runtime_checkable
class PaddedBatch(Batch, Protocol):
    """A labelled batch of what quantized models can read: events, or time steps with classes."""

    def padded(self) -> Inputs:
        """The samples as a model reads them."""
        ...


def check_vocabulary(batch: Any, model: nn.Module) -> None:
    """Refuse tokens of a batch on the host that ``model``, or the one that it quantizes, does not know.

    Raises:
        PumiceError: with the range of both.
    """
    vocab = getattr(getattr(getattr(model, "model", model), "config", None), "vocab", None)
    batch = getattr(batch, "batch", batch)  # of what the float model says of one
    values: Tensor | None = getattr(batch, "inputs", None)
    if isinstance(batch, PaddedBatch):
        inputs = batch.padded()
        real = torch.arange(inputs.values.shape[1]) < inputs.lengths.unsqueeze(1)
        values = inputs.values if inputs.values.dim() > 2 else inputs.values[real]
    if vocab is not None and values is not None and not values.is_floating_point():
        check_tokens(values, vocab)
