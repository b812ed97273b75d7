"""What training and evaluation ask of a batch, whatever kind of task it belongs to."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

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
