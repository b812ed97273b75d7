"""The mean error of quantized logits, taken out of the decoder's bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .qat_model import QATModel


@torch.no_grad()
def correct_bias(qat: QATModel[Any, Any, Any], said: Sequence[Tensor], expected: Sequence[Tensor]) -> Tensor:
    """Move the decoder's bias of a quantized model by the mean error of its logits.

    Rounding of weights moves the mean of what they give (Nagel et al. 2019, arXiv 1906.04721); at the logits all of it
    is taken back at once.

    Args:
        qat: with an `QATModel.output_bias`; it is changed.
        said: its logits (M, C) of some batches, as its program gives them.
        expected: the float model's logits of these, in the same units.

    Returns:
        how far the bias moved, (C,).
    """
    bias = qat.output_bias()
    assert bias is not None
    errors = torch.cat([found.double() - wanted.double() for found, wanted in zip(said, expected, strict=True)])
    moved = -errors.sum(0) / max(len(errors), 1)
    bias.add_(moved.to(bias))
    return moved
