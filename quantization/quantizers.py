"""Brevitas quantizers with power-of-two scales, rounding half up and exponents that are integers.

Brevitas' own fixed-point quantizers take the scale's exponent as ``ceil(log2 max)`` in the tensor's precision, so that
float32 and float64 may disagree by an octave, and fall back to an arbitrary scale where nothing was calibrated. Here
the exponents come from `power_of_two_frac`, are kept as integer buffers, and a missing one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from brevitas.core.function_wrapper import TensorClamp
from brevitas.inject import ExtendedInjector
from brevitas.nn import QuantIdentity
from brevitas.nn.mixin import QuantWeightMixin
from brevitas.quant.base import IntQuant, NarrowIntQuant, UintQuant
from brevitas.quant.fixed_point import PerChannelPoTScaling8bit, PerTensorPoTScaling8bit
from brevitas.quant.solver.act import ActQuantSolver
from brevitas.quant.solver.weight import WeightQuantSolver
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import PumiceError
from ..program.formats import Format
from .codes import Floats, rounded
from .exponents import activation_frac, weight_frac
from .rounding import RoundHalfUp, pow2

UNSET = -(1 << 30)


class WeightScaling(nn.Module):
    """Brevitas' ``scaling_impl`` of weights: a scale from the tensor that is quantized, until it is frozen.

    Buffers: ``frac`` int64 in the scale's shape, ``frozen`` bool. Both are saved.
    """

    def __init__(self, bit_width: int, scaling_shape: tuple[int, ...], frac_method: str) -> None:
        super().__init__()
        self.bit_width = bit_width
        self.frac_method = frac_method
        self.register_buffer("frac", torch.full(scaling_shape, UNSET, dtype=torch.int64))
        self.register_buffer("frozen", torch.tensor(False))

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        """``2**-frac``, broadcastable to x."""
        if not self.frozen:
            frac = weight_frac(x, self.bit_width, self.frac_method, per_row=self.frac.dim() > 0)
            self.frac.copy_(frac.reshape(self.frac.shape))
        return pow2(-self.frac, x)


class ActivationScaling(nn.Module):
    """Brevitas' ``scaling_impl`` of activations: a constant scale, refused while there is none.

    Buffer: ``frac`` () int64.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frac", torch.tensor(UNSET))

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        """``2**-frac``, ()."""
        if self.frac == UNSET:
            raise PumiceError("an activation has no scale yet; calibrate the model before it runs quantized")
        return pow2(-self.frac, x)


class _PowerOfTwoWeight(NarrowIntQuant):
    float_to_int_impl = RoundHalfUp
    scaling_impl = WeightScaling
    frac_method = "max"


class RowWeight(_PowerOfTwoWeight, PerChannelPoTScaling8bit, WeightQuantSolver):
    """Brevitas ``weight_quant`` with one exponent an output row; ``weight_bit_width``, ``weight_frac_method``."""

    scaling_impl_type = "const"


class TensorWeight(_PowerOfTwoWeight, PerTensorPoTScaling8bit, WeightQuantSolver):
    """Brevitas ``weight_quant`` with one exponent for all; ``weight_bit_width``, ``weight_frac_method``."""

    scaling_impl_type = "const"


class _PowerOfTwoActivation(PerTensorPoTScaling8bit, ActQuantSolver):
    scaling_impl_type = "const"
    float_to_int_impl = RoundHalfUp
    tensor_clamp_impl = TensorClamp
    scaling_impl = ActivationScaling


class SignedActivation(_PowerOfTwoActivation, IntQuant):
    """Brevitas ``act_quant`` for signed codes; ``bit_width``."""

    float_to_int_impl = RoundHalfUp


class UnsignedActivation(_PowerOfTwoActivation, UintQuant):
    """Brevitas ``act_quant`` for unsigned codes; ``bit_width``."""

    float_to_int_impl = RoundHalfUp


class QuantActivation(QuantIdentity):
    """A brevitas identity that quantizes activations at a calibrated power of two; any shape.

    The gradient is 1 inside the range and 0 where codes are clipped.

    Raises:
        PumiceError: on a forward pass without ``frac``.
    """

    def __init__(self, width: int, signed: bool = True) -> None:
        self.width = width
        self.signed = signed
        super().__init__(act_quant=SignedActivation if signed else UnsignedActivation, bit_width=width)

    @property
    def scaling(self) -> ActivationScaling:
        """Where the exponent is kept."""
        return self.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl

    @property
    def frac(self) -> int | None:
        """Fractional bits, None while uncalibrated."""
        frac = int(self.scaling.frac)
        return None if frac == UNSET else frac

    @frac.setter
    def frac(self, frac: int) -> None:
        self.scaling.frac.fill_(frac)

    def calibrate(self, values: Tensor, method: str = "max") -> None:
        """Set ``frac`` from observed values."""
        self.frac = activation_frac(values, self.width, self.signed, method)


class _QuantTensor(QuantWeightMixin, nn.Module):
    """What brevitas needs to quantize a bare tensor as if it were a layer's weight."""

    def __init__(self, weight: Tensor, width: int, per_row: bool, method: str) -> None:
        nn.Module.__init__(self)
        self.weight = weight
        injector: type[ExtendedInjector] = RowWeight if per_row else TensorWeight
        QuantWeightMixin.__init__(self, injector, weight_bit_width=width, weight_frac_method=method)

    @property
    def output_channel_dim(self) -> int:
        return 0

    @property
    def out_channels(self) -> int:
        """Rows."""
        return self.weight.shape[0]

    @property
    def frac(self) -> Tensor:
        """Fractional bits, (rows,) or (), int64."""
        return quant_frac(self)


class QuantParameter(_QuantTensor):
    """A parameter with narrow-range, power-of-two fake quantization: ``weight`` (rows, ...), read by calling it."""

    def __init__(self, value: Tensor, width: int, *, per_row: bool = True, method: str = "max") -> None:
        super().__init__(nn.Parameter(value), width, per_row, method)

    def forward(self) -> Tensor:
        """The quantized values, in the parameter's shape."""
        return self.quant_weight().value


class TensorQuantizer(_QuantTensor):
    """Narrow-range, power-of-two fake quantization of computed tensors, such as ``gamma B``, of one shape."""

    def __init__(self, shape: Sequence[int], width: int, *, per_row: bool = True, method: str = "max") -> None:
        super().__init__(torch.zeros(()).expand(tuple(shape)), width, per_row, method)

    def forward(self, x: Tensor) -> Tensor:
        """Quantize x, which has the shape that was given."""
        return self.weight_quant(x).value


def quant_frac(layer: nn.Module) -> Tensor:
    """Fractional bits of a layer's weight (QuantLinear, QuantEmbedding, QuantParameter, ...), (rows,) or (), int64.

    Raises:
        PumiceError: before the first forward pass.
    """
    frac = layer.weight_quant.tensor_quant.scaling_impl.frac
    if (frac == UNSET).any():
        raise PumiceError("a weight has no scale yet; run the model once before its exponents are read")
    return frac.flatten() if frac.dim() else frac


def freeze_scales(model: nn.Module) -> None:
    """Keep every exponent as the last forward pass chose it: from now on only codes change.

    Raises:
        PumiceError: names the first quantizer that has no scale yet.
    """
    scalings = [(name, m) for name, m in model.named_modules() if isinstance(m, WeightScaling | ActivationScaling)]
    for name, scaling in scalings:
        if (scaling.frac == UNSET).any():
            owner = name.split(".weight_quant")[0].split(".act_quant")[0]
            raise PumiceError(f"{owner} has no scale to freeze; calibrate the model and run it once first")
    for _, scaling in scalings:
        if isinstance(scaling, WeightScaling):
            scaling.frozen.fill_(True)


def edge_format(quantizer: QuantActivation, name: str) -> Format:
    """The format of a calibrated activation.

    Raises:
        PumiceError: it is not calibrated.
    """
    if quantizer.frac is None:
        raise PumiceError(f"{name} is not calibrated; show the twin training data before it runs quantized")
    return Format(quantizer.width, quantizer.signed, quantizer.frac)


def set_edge(quantizer: QuantActivation, frac: int | None, name: str) -> None:
    """Set an activation's exponent.

    Raises:
        PumiceError: nothing was seen there.
    """
    if frac is None:
        raise PumiceError(
            f"calibration saw no value at {name}; give it samples with at least one complete window of events"
        )
    quantizer.frac = frac


def scaling(quantizer: TensorQuantizer) -> nn.Module:
    """Where a weight's exponents are kept."""
    return quantizer.weight_quant.tensor_quant.scaling_impl


def fixed_quantizers(shapes: Mapping[str, Sequence[int]], width: int, *, per_row: bool) -> nn.ModuleDict:
    """Quantizers of tensors, by name, whose exponents are set by `set_fracs` and by nobody else."""
    quantizers = {name: TensorQuantizer(shape, width, per_row=per_row) for name, shape in shapes.items()}
    for quantizer in quantizers.values():
        scaling(quantizer).frozen.fill_(True)
    return nn.ModuleDict(quantizers)


def set_fracs(quantizers: nn.ModuleDict, fracs: Mapping[str, NDArray[np.int64] | int]) -> None:
    """Set the exponents of all ``quantizers``, by name; (rows,) or one."""
    for name, quantizer in quantizers.items():
        kept = scaling(quantizer).frac
        kept.copy_(torch.as_tensor(fracs[name]).reshape(kept.shape))


def fracs_of(quantizers: nn.ModuleDict) -> dict[str, NDArray[np.int64]]:
    """The exponents that were set, by name, (rows,) or (1,)."""
    return {name: scaling(quantizer).frac.flatten().cpu().numpy() for name, quantizer in quantizers.items()}


def clipped(weight: Floats, frac: NDArray[np.int64], width: int) -> int:
    """How many entries of ``weight`` (rows, n) lie beyond the range of codes of ``width`` bits at ``frac`` (rows,)."""
    highest = (1 << (width - 1)) - 1
    return int((rounded(np.abs(np.ldexp(weight, frac.reshape(-1, 1)))) > highest).sum())


class InputQuantizer(nn.Module):
    """The format of the input, as calibration found it.

    Buffer: ``code`` (3,) int64, width, signedness and fractional bits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("code", torch.full((3,), UNSET))

    @property
    def format(self) -> Format:
        """The format.

        Raises:
            PumiceError: the twin is not calibrated.
        """
        width, signed, frac = self.code.tolist()
        if frac == UNSET:
            raise PumiceError("the input is not calibrated; show the twin training data before it runs quantized")
        return Format(width, bool(signed), frac)

    @format.setter
    def format(self, format: Format) -> None:
        self.code.copy_(torch.tensor([format.width, format.signed, format.frac]))
