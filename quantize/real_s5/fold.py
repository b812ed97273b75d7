"""From the float layer's parameters to the matrices that a program's nodes hold, before quantization."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ...models.real_s5.layer import RealS5Layer
from ...models.s5.norm import MaskedBatchNorm
from ..s5.fold import FoldedLayer, FoldedLinear, FoldedNorm, fold_batch_norm, fold_linear


def fold_real_layer(layer: RealS5Layer, dtype: torch.dtype) -> FoldedLayer[Tensor]:
    """Fold ``layer`` in ``dtype``; gradients reach its parameters where that is their own type.

    A batch norm inside scales and shifts C x + D u, so it goes into C, D and their bias. What a layer norm holds, and a
    batch norm after the layer, stands by itself: a table and a product read it.
    """
    if layer.ssm.B.dtype != dtype:
        layer = copy.deepcopy(layer).to(dtype)
    ssm, config = layer.ssm, layer.config
    output: Tensor = ssm.C
    feedthrough: Tensor | None = ssm.D
    bias = output.new_zeros(len(output))
    norm: FoldedNorm[Tensor] | None = None
    affine: FoldedNorm[Tensor] | None = None
    if isinstance(layer.norm, nn.LayerNorm):
        affine = FoldedNorm(layer.norm.weight, layer.norm.bias)
    elif isinstance(layer.norm, MaskedBatchNorm):
        norm = fold_batch_norm(layer.norm, dtype)
        if config.norm_place == "inside":
            rows, bias, norm = norm.multiplier.unsqueeze(1), norm.offset, None
            output = output * rows
            if feedthrough is not None:
                feedthrough = feedthrough * (rows.squeeze(1) if feedthrough.dim() == 1 else rows)
    matrix = ssm.input_matrix()
    return FoldedLayer(
        norm=norm,
        rate=ssm.rates(),
        input=matrix,
        input_bias=matrix.new_zeros(len(matrix)),
        output=output,
        feedthrough=feedthrough,
        bias=bias,
        gate=layer.gate.weight,
        gate_bias=layer.gate.bias,
        skip=None if layer.skip is None else fold_linear(layer.skip, dtype),
        affine=affine,
        gates=tuple(FoldedLinear(gate.weight, gate.bias) for gate in layer.gate_layers()),
    )
