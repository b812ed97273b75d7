"""From the float layer's parameters to the matrices that a program's nodes hold, before quantization.

Differentiable and of any float type: fine-tuning folds in the model's own type, freezing in float64.
"""

from __future__ import annotations

from collections.abc import Callable
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
        norm: of a batch norm that stands by itself; None for others, which are in the matrices.
        rate: (P,) complex or real, Lambda * step in 1 / ms; a growing mode is held at the real part 0.
        input: (2P, H), B with the event-independent factor of the discretization; real rows, then imaginary rows; of
            real modes (P, H), and likewise below.
        input_bias: (2P,).
        output: (O, 2P), C for planar states.
        feedthrough: D, (H,) or (O, H); None without.
        bias: (O,) of C x + D u.
        gate: of the linear layer that reads what becomes of C x + D u, (O, O), or (2O, O) where that is gated too.
        gate_bias: (O,), (2O,).
        skip: of the residual path, None where the widths agree.
        affine: gamma and beta of a layer norm that holds them itself, (O,) each; None of others.
        gates: of the gate on u, its linear layers in order: none, one, or two where it is of low rank.
    """

    norm: FoldedNorm[Array] | None
    rate: Array
    input: Array
    input_bias: Array
    output: Array
    feedthrough: Array | None
    bias: Array
    gate: Array
    gate_bias: Array
    skip: FoldedLinear[Array] | None
    affine: FoldedNorm[Array] | None = None
    gates: tuple[FoldedLinear[Array], ...] = ()

    @property
    def parts(self) -> int:
        """Codes of a mode's state: 1 of a real mode, 2 of a complex one."""
        matrix: Any = self.input
        rate: Any = self.rate
        return len(matrix) // len(rate)


Fold = Callable[[torch.dtype], FoldedLayer[Tensor]]
"""Folds a layer, in its own type with gradients to its parameters."""


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
    feedthrough = None if ssm.D is None else ssm.D.to(dtype)
    folded_norm, input_bias, bias = None, matrix.new_zeros(len(matrix)), matrix.new_zeros(len(ssm.C))
    if isinstance(norm, MaskedBatchNorm):
        folded_norm = fold_batch_norm(norm, dtype)
    elif norm is not None:
        weight, shift = norm.weight.to(dtype), norm.bias.to(dtype)
        input_bias = matrix @ shift
        matrix = matrix * weight
        if feedthrough is not None:
            bias = feedthrough * shift if feedthrough.dim() == 1 else feedthrough @ shift
            feedthrough = feedthrough * weight
    real, imaginary = ssm.C.to(dtype).unbind(-1)
    output = (2 if ssm.conj_sym else 1) * torch.cat([real, -imaginary], dim=1)
    if (scale := layer.scale()) is not None:
        rows = scale.to(dtype).unsqueeze(1)
        output, bias = output * rows, bias * scale.to(dtype)
        if feedthrough is not None:
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


def exact_layer(fold: Fold, path: str) -> FoldedLayer[NDArray[Any]]:
    """A layer folded in float64.

    Raises:
        PumiceError: NaN or infinite weights; names the layer and the weight.
    """
    owner = f"{path}: the folded weight"
    with torch.no_grad():
        folded = fold(torch.float64)
    parts: dict[str, Any] = folded._asdict()
    norms = {name: parts.pop(name) for name in ("norm", "affine")}
    skip, gates = parts.pop("skip"), parts.pop("gates")
    return FoldedLayer(
        **arrays_of(parts, owner),
        **{
            name: None if norm is None else FoldedNorm(**arrays_of(norm._asdict(), owner))
            for name, norm in norms.items()
        },
        skip=None if skip is None else FoldedLinear(**arrays_of(skip._asdict(), owner)),
        gates=tuple(FoldedLinear(**arrays_of(gate._asdict(), owner)) for gate in gates),
    )


def fold_batch_norm(norm: MaskedBatchNorm, dtype: torch.dtype) -> FoldedNorm[Tensor]:
    """A batch norm by its running statistics, in ``dtype``."""
    multiplier = norm.weight.to(dtype) * torch.rsqrt(norm.running_var.to(dtype) + norm.eps)
    return FoldedNorm(multiplier, norm.bias.to(dtype) - norm.running_mean.to(dtype) * multiplier)


def fold_linear(linear: nn.Linear, dtype: torch.dtype) -> FoldedLinear[Tensor]:
    """A linear layer in ``dtype``."""
    return FoldedLinear(linear.weight.to(dtype), linear.bias.to(dtype))
