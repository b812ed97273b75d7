"""The norm of a block, before its layer or behind the residual sum, from float parameters to a program's node.

What reads it keeps its channels apart and takes no bias, so that beta of a layer norm folds into nothing: gamma and
beta are the node's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.spikingssm.norm import ChannelBatchNorm, ChannelNorm
from ...program.formats import Format
from ...program.nodes import BatchNorm, LayerNorm, Node
from ..codes import Fracs
from ..config import Widths
from ..exponents import row_fracs, table_frac, useful_frac
from ..folding import Array
from ..frozen import NodeTable, values_of
from ..nodes import batch_norm_node, layer_norm_node
from ..operations import Affine, LayerNormTerms, layer_norm
from ..quantizers import Quantizers, TensorQuantizer, store
from ..straight_through import quantize_bias

EXTRA_BITS = 8
"""Fractional bits of beta beyond those of the output: slow modes integrate what a coarser one would lose."""


class FoldedNorm(NamedTuple, Generic[Array]):
    """A batch norm by its running statistics, or gamma and beta of a layer norm.

    Attributes:
        multiplier: (H,); gamma.
        offset: (H,); beta.
        epsilon: of a layer norm; None of a batch norm.
    """

    multiplier: Array
    offset: Array
    epsilon: float | None


def fold_norm(norm: ChannelNorm) -> FoldedNorm[Tensor]:
    """Fold ``norm`` in its own type."""
    if isinstance(norm, ChannelBatchNorm):
        multiplier = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return FoldedNorm(multiplier, norm.bias - norm.running_mean * multiplier, None)
    return FoldedNorm(norm.weight, norm.bias, norm.eps)


def norm_quantizer(norm: ChannelNorm, width: int) -> TensorQuantizer:
    """Of the multipliers: those of a batch norm have an exponent each, gamma has one."""
    return TensorQuantizer((len(norm.weight), 1), width, per_row=isinstance(norm, ChannelBatchNorm))


def norm_fracs(folded: FoldedNorm[NDArray[Any]], read: Format, written: Format, width: int) -> Fracs:
    """Exponents of the multipliers, (H,), or (1,) of gamma."""
    if folded.epsilon is None:
        return row_fracs(folded.multiplier[:, None], width, "max", useful_frac(read, written))
    return np.array([table_frac(folded.multiplier, width, "max", written.frac + width + EXTRA_BITS)])


@dataclass(frozen=True, eq=False)
class QuantizedNorm:
    """A norm as values.

    Attributes:
        read, written: formats.
        multiplier, offset: (H,).
        fracs: of the multiplier and of the offset, where they are gamma and beta.
        terms: of a layer norm; None of a batch norm.
    """

    read: Format
    written: Format
    multiplier: Tensor
    offset: Tensor
    fracs: tuple[int, int] = (0, 0)
    terms: LayerNormTerms | None = None

    def run(self, x: Tensor, quantizers: Quantizers | None, edge: str) -> Tensor:
        """x (B, T, H) normalised, on the grid of ``written``."""
        if self.terms is None:
            return store(quantizers, edge, x * self.multiplier + self.offset, self.written)
        affine = Affine(self.multiplier, self.fracs[0], self.offset, self.fracs[1])
        return layer_norm(x, self.terms, self.read, self.written, affine)


def quantized_norm(
    folded: FoldedNorm[Tensor], fracs: Fracs, quantizer: TensorQuantizer, read: Format, written: Format
) -> QuantizedNorm:
    """Fake-quantized, with gradients to the float norm's parameters."""
    multiplier = quantizer(folded.multiplier.unsqueeze(1)).squeeze(1)
    if folded.epsilon is None:
        accumulator = torch.from_numpy(fracs + read.frac).to(multiplier.device)
        return QuantizedNorm(read, written, multiplier, quantize_bias(folded.offset, accumulator))
    beta_frac = written.frac + EXTRA_BITS
    terms = LayerNormTerms.of(len(multiplier), read, folded.epsilon)
    beta = quantize_bias(folded.offset, torch.full((len(multiplier),), beta_frac, device=multiplier.device))
    return QuantizedNorm(read, written, multiplier, beta, (int(fracs[0]), beta_frac), terms)


def norm_node(
    name: str,
    source: str,
    folded: FoldedNorm[NDArray[Any]],
    fracs: Fracs,
    read: Format,
    written: Format,
    widths: Widths,
) -> Node:
    """The node.

    Raises:
        ProgramError: an intermediate that does not fit; names the node.
    """
    if folded.epsilon is None:
        return batch_norm_node(name, source, folded.multiplier, folded.offset, fracs, widths.norm, read, written)
    terms = LayerNormTerms.of(len(folded.multiplier), read, folded.epsilon)
    gamma = folded.multiplier, int(fracs[0]), widths.norm
    return layer_norm_node(name, source, terms, read, written, gamma, (folded.offset, written.frac + EXTRA_BITS))


def frozen_norm(table: NodeTable, name: str, device: torch.device) -> QuantizedNorm | None:
    """From the node of this name; None where it is no norm."""
    batch, layer = table.find(BatchNorm, name), table.find(LayerNorm, name)
    if batch is not None:
        frac = batch.shift.astype(np.int64) + batch.output.frac  # of the accumulator
        multiplier = values_of(batch.multiplier, frac - batch.format.frac, device)
        return QuantizedNorm(batch.format, batch.output, multiplier, values_of(batch.bias, frac, device))
    if layer is not None:
        return QuantizedNorm(
            layer.format,
            layer.output,
            values_of(layer.gamma, layer.gamma_frac, device),
            values_of(layer.beta, layer.beta_frac, device),
            (layer.gamma_frac, layer.beta_frac),
            LayerNormTerms(layer.size, layer.root_shift, layer.epsilon),
        )
    return None
