"""From a float block's parameters to what the nodes of a program hold, before quantization.

Differentiable and of any float type: fine-tuning folds in the model's own type, derivation in float64.
"""

from __future__ import annotations

import copy
from typing import Any, Generic, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.spikingssm.layer import Block
from ..folding import Array, arrays_of
from .norm import FoldedNorm, fold_norm


class FoldedBlock(NamedTuple, Generic[Array]):
    """One block; M modes for each of H channels.

    Attributes:
        norm: None without one.
        rate: (M, H) complex, the logarithm of a step's decay.
        output: (H, 2M), 2 Re C and -2 Im C, the threshold, B and the discretization in them.
        feedthrough: (H,), D over the threshold.
        mix: (2H, H), what is gated and then the gate.
        mix_bias: (2H,).
    """

    norm: FoldedNorm[Array] | None
    rate: Array
    output: Array
    feedthrough: Array
    mix: Array
    mix_bias: Array


def fold_block(block: Block) -> FoldedBlock[Tensor]:
    """Fold ``block`` in its own type."""
    layer = block.layer
    modes = layer.kernel.discrete(layer.neuron.scale())
    return FoldedBlock(
        norm=None if block.norm is None else fold_norm(block.norm),
        rate=modes.rate.mT,
        output=2 * torch.cat([modes.C.real, -modes.C.imag], dim=1),
        feedthrough=modes.D,
        mix=layer.output.weight,
        mix_bias=layer.output.bias,
    )


def exact_block(block: Block, path: str) -> FoldedBlock[NDArray[Any]]:
    """The block folded in float64, from its float32 parameters.

    Raises:
        PumiceError: NaN or infinite weights; names the block and the weight.
    """
    with torch.no_grad():
        folded = fold_block(copy.deepcopy(block).double())
    owner = f"{path}: the folded weight"
    parts: dict[str, Any] = folded._asdict()
    norm = parts.pop("norm")
    if norm is not None:
        norm = FoldedNorm(
            **arrays_of({"multiplier": norm.multiplier, "offset": norm.offset}, owner), epsilon=norm.epsilon
        )
    return FoldedBlock(norm=norm, **arrays_of(parts, owner))
