"""From the float layer's parameters to the matrices that a program's nodes hold, before quantization.

Differentiable and of any float type: fine-tuning folds in the model's own type, freezing in float64.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...models.s5.discretization import constant_gamma, mode_rates
from ...models.s5.layer import EventLayer
from ...models.s5.norm import MaskedBatchNorm
from ...models.s5.ssm import LARGEST_REAL_PART
from ..folding import Array, arrays_of


class FoldedNorm(NamedTuple, Generic[Array]):
    """A batch norm: (H,) each."""

    multiplier: Array
    offset: Array


class FoldedLinear(NamedTuple, Generic[Array]):
    """A linear layer: (O, I) and (O,)."""

    weight: Array
    bias: Array


class FoldedLayer(NamedTuple, Generic[Array]):
    """One layer with its norm folded; P modes, H inputs, O outputs.

    Attributes:
        norm: of a batch norm; None for layer norm, whose gamma and beta are in the matrices.
        rate: (P,) complex, Lambda * step in 1 / ms; a growing mode is held at the real part 0.
        input: (2P, H), B with the event-independent factor of the discretization; real rows, then imaginary rows.
        input_bias: (2P,).
        output: (O, 2P), C for planar states.
        feedthrough: D, (H,) or (O, H).
        bias: (O,) of C x + D u.
        gate: of the linear layer that reads what becomes of C x + D u, (O, O), or (2O, O) where that is gated too.
        gate_bias: (O,), (2O,).
        skip: of the residual path, None where the widths agree.
    """

    norm: FoldedNorm[Array] | None
    rate: Array
    input: Array
    input_bias: Array
    output: Array
    feedthrough: Array
    bias: Array
    gate: Array
    gate_bias: Array
    skip: FoldedLinear[Array] | None


def fold_layer(layer: EventLayer, dtype: torch.dtype) -> FoldedLayer[Tensor]:
    """Fold ``layer`` in ``dtype``.

    Gamma and beta of a layer norm go into its linear consumers: ``B (gamma u + beta) = (B gamma) u + B beta``, and
    likewise for D. A batch norm becomes ``multiplier x + offset`` with its running statistics. What C x + D u is
    multiplied with goes into C, D and their bias.
    """
    ssm, norm = layer.ssm, layer.norm
    rate, gamma = _rate_and_gamma(layer, dtype)
    scaled = gamma.unsqueeze(1) * torch.view_as_complex(ssm.B.to(dtype))
    matrix = torch.cat([scaled.real, scaled.imag])
    feedthrough = ssm.D.to(dtype)
    weight, shift = norm.weight.to(dtype), norm.bias.to(dtype)
    folded_norm = None
    if isinstance(norm, MaskedBatchNorm):
        multiplier = weight * torch.rsqrt(norm.running_var.to(dtype) + norm.eps)
        folded_norm = FoldedNorm(multiplier, shift - norm.running_mean.to(dtype) * multiplier)
        input_bias = matrix.new_zeros(len(matrix))
        bias = matrix.new_zeros(len(ssm.C))
    else:
        input_bias = matrix @ shift
        bias = feedthrough * shift if feedthrough.dim() == 1 else feedthrough @ shift
        matrix, feedthrough = matrix * weight, feedthrough * weight
    real, imaginary = ssm.C.to(dtype).unbind(-1)
    output = (2 if ssm.conj_sym else 1) * torch.cat([real, -imaginary], dim=1)
    if (scale := layer.scale()) is not None:
        rows = scale.to(dtype).unsqueeze(1)
        output, bias = output * rows, bias * scale.to(dtype)
        feedthrough = feedthrough * (rows if feedthrough.dim() == 2 else scale.to(dtype))
    gate = fold_linear(layer.mixing, dtype)
    return FoldedLayer(
        norm=folded_norm,
        rate=rate,
        input=matrix,
        input_bias=input_bias,
        output=output,
        feedthrough=feedthrough,
        bias=bias,
        gate=gate.weight,
        gate_bias=gate.bias,
        skip=None if layer.skip is None else fold_linear(layer.skip, dtype),
    )


def _rate_and_gamma(layer: EventLayer, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    ssm = layer.ssm
    real = ssm.Lambda_re.to(dtype)
    if ssm.clip_eigs:
        real = real.clamp(max=LARGEST_REAL_PART)
    eigenvalues = torch.complex(real, ssm.Lambda_im.to(dtype))
    rate = mode_rates(eigenvalues, ssm.log_step.to(dtype), ssm.step_rescale)
    gamma = constant_gamma(eigenvalues, rate, ssm.discretization)
    return torch.complex(rate.real.clamp(max=0.0), rate.imag), gamma


def exact_layer(layer: EventLayer, path: str) -> FoldedLayer[NDArray[Any]]:
    """The layer folded in float64.

    Raises:
        PumiceError: NaN or infinite weights; names the layer and the weight.
    """
    owner = f"{path}: the folded weight"
    with torch.no_grad():
        folded = fold_layer(layer, torch.float64)
    parts: dict[str, Any] = folded._asdict()
    norm, skip = parts.pop("norm"), parts.pop("skip")
    return FoldedLayer(
        **arrays_of(parts, owner),
        norm=None if norm is None else FoldedNorm(**arrays_of(norm._asdict(), owner)),
        skip=None if skip is None else FoldedLinear(**arrays_of(skip._asdict(), owner)),
    )


def fold_linear(linear: nn.Linear, dtype: torch.dtype) -> FoldedLinear[Tensor]:
    """A linear layer in ``dtype``."""
    return FoldedLinear(linear.weight.to(dtype), linear.bias.to(dtype))
