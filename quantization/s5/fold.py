"""From the float layer's parameters to the matrices that a program's nodes hold, before quantization.

Differentiable and of any float type: fine-tuning folds in the model's own type, freezing in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...models.s5.discretization import constant_gamma, mode_rates
from ...models.s5.layer import SequenceLayer
from ...models.s5.norm import MaskedBatchNorm
from ...models.s5.ssm import LARGEST_REAL_PART


class FoldedLayer(NamedTuple):
    """One layer with its norm folded; P modes, H inputs, O outputs.

    Attributes:
        multiplier: (H,) of a batch norm, None for layer norm, whose gamma and beta are in the matrices.
        offset: (H,) of a batch norm.
        rate: (P,) complex, Lambda * step in 1 / ms; a growing mode is held at the real part 0.
        input: (2P, H), B with the event-independent factor of the discretization; real rows, then imaginary rows.
        input_bias: (2P,).
        output: (O, 2P), C for planar states.
        feedthrough: D, (H,) or (O, H).
        bias: (O,) of C x + D u.
        gate: (O, O).
        gate_bias: (O,).
        skip: (O, H), None where the widths agree.
        skip_bias: (O,), None where the widths agree.
    """

    multiplier: Tensor | None
    offset: Tensor | None
    rate: Tensor
    input: Tensor
    input_bias: Tensor
    output: Tensor
    feedthrough: Tensor
    bias: Tensor
    gate: Tensor
    gate_bias: Tensor
    skip: Tensor | None
    skip_bias: Tensor | None


def fold_layer(layer: SequenceLayer, dtype: torch.dtype) -> FoldedLayer:
    """Fold ``layer`` in ``dtype``.

    Gamma and beta of a layer norm go into its linear consumers: ``B (gamma u + beta) = (B gamma) u + B beta``, and
    likewise for D. A batch norm becomes ``multiplier x + offset`` with its running statistics.
    """
    ssm, norm = layer.ssm, layer.norm
    rate, gamma = _rate_and_gamma(layer, dtype)
    scaled = gamma.unsqueeze(1) * torch.view_as_complex(ssm.B.to(dtype))
    matrix = torch.cat([scaled.real, scaled.imag])
    feedthrough = ssm.D.to(dtype)
    weight, shift = norm.weight.to(dtype), norm.bias.to(dtype)
    multiplier = offset = None
    if isinstance(norm, MaskedBatchNorm):
        multiplier = weight * torch.rsqrt(norm.running_var.to(dtype) + norm.eps)
        offset = shift - norm.running_mean.to(dtype) * multiplier
        input_bias = matrix.new_zeros(len(matrix))
        bias = matrix.new_zeros(len(ssm.C))
    else:
        input_bias = matrix @ shift
        bias = feedthrough * shift if feedthrough.dim() == 1 else feedthrough @ shift
        matrix, feedthrough = matrix * weight, feedthrough * weight
    real, imaginary = ssm.C.to(dtype).unbind(-1)
    return FoldedLayer(
        multiplier=multiplier,
        offset=offset,
        rate=rate,
        input=matrix,
        input_bias=input_bias,
        output=(2 if ssm.conj_sym else 1) * torch.cat([real, -imaginary], dim=1),
        feedthrough=feedthrough,
        bias=bias,
        gate=layer.gate.weight.to(dtype),
        gate_bias=layer.gate.bias.to(dtype),
        skip=None if layer.skip is None else layer.skip.weight.to(dtype),
        skip_bias=None if layer.skip is None else layer.skip.bias.to(dtype),
    )


def _rate_and_gamma(layer: SequenceLayer, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    ssm = layer.ssm
    real = ssm.Lambda_re.to(dtype)
    if ssm.clip_eigs:
        real = real.clamp(max=LARGEST_REAL_PART)
    eigenvalues = torch.complex(real, ssm.Lambda_im.to(dtype))
    rate = mode_rates(eigenvalues, ssm.log_step.to(dtype), ssm.step_rescale)
    gamma = constant_gamma(eigenvalues, rate, ssm.discretization)
    return torch.complex(rate.real.clamp(max=0.0), rate.imag), gamma


def fold_linear(linear: nn.Linear, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Weight (O, I) and bias (O,) in ``dtype``."""
    return linear.weight.to(dtype), linear.bias.to(dtype)
