"""Exponents chosen by what comes out: tensor by tensor, by the noise of the logits on a few training samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..terminal import track
from ..train.data.batch import Batch
from .qat_model import QATModel
from .quantizers import QuantActivation

NARROW = 12
"""Bits of an activation up to which other exponents are tried; wider ones lose nothing."""


def search_exponents(
    qat: QATModel[Any, Any, Any],
    other: QATModel[Any, Any, Any] | None,
    batches: Sequence[Batch],
    expected: Sequence[Tensor],
) -> dict[str, int]:
    """Change exponents of a calibrated model one tensor at a time, in order, wherever the logits come nearer.

    Of each tensor that two calibrations disagree on, the other's exponents are tried; of each narrow activation one bit
    more and less, as long as that helps. The weights' exponents then stay as they are.

    Args:
        qat: calibrated; it is changed.
        other: the same model with another calibration.
        batches: the samples that are looked at.
        expected: the float model's logits of these, in the units of the QAT model's.

    Returns:
        how much each tensor's exponents changed that changed: the sum over its rows of the bits.
    """
    qat.eval().freeze_scales()
    buffers = dict(qat.named_buffers())
    before = {name: buffer.clone() for name, buffer in buffers.items() if name.endswith("frac")}
    least = _noise(qat, batches, expected)
    for buffer, values in track(list(_alternatives(qat, other)), "exponents of the other calibration"):
        kept = buffer.clone()
        buffer.copy_(values)
        found = _noise(qat, batches, expected)
        if found < least:
            least = found
        else:
            buffer.copy_(kept)
    edges = [module for module in qat.modules() if isinstance(module, QuantActivation)]
    for edge in track(edges, "exponents of activations"):
        for step in (1, -1) if edge.width <= NARROW else ():
            while True:
                start = edge.frac
                assert start is not None
                edge.frac = start + step
                found = _noise(qat, batches, expected)
                if found >= least:
                    edge.frac = start
                    break
                least = found
    moved = {name: int((buffers[name] - values).sum()) for name, values in before.items()}
    return {name: bits for name, bits in moved.items() if bits}


def _alternatives(
    qat: QATModel[Any, Any, Any], other: QATModel[Any, Any, Any] | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Buffers of exponents, and what the other calibration has in their place where that differs."""
    if other is None:
        return
    other.eval().freeze_scales()
    theirs = dict(other.named_buffers())
    for name, buffer in qat.named_buffers():
        if name.endswith("frac") and not torch.equal(buffer, theirs[name]):
            yield buffer, theirs[name]


@torch.no_grad()
def _noise(qat: QATModel[Any, Any, Any], batches: Sequence[Batch], expected: Sequence[Tensor]) -> float:
    """The power of what is wrong with the logits."""
    said = (batch.apply(qat)[0] for batch in batches)
    return sum(float((ours - theirs).double().square().sum()) for ours, theirs in zip(said, expected, strict=True))
