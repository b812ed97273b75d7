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
from .constants import Floats, rounded
from .program.formats import MAX_FRAC, Format
from .rounding import RoundHalfUp, code_range, pow2, pow2_codes

METHODS = ("max", "mse")
FINER_EXPONENTS = 4  # how far "mse" searches beyond the exponent that clips nothing
UNSET = -(1 << 30)


def power_of_two_frac(values: Tensor, width: int, signed: bool, narrow: bool, method: str = "max") -> Tensor:
    """The fractional bits with which each row of ``values`` is quantized; in float64, whatever the input's precision.

    "max" takes the most bits with which no rounded value is clipped. "mse" takes the bits of least squared error among
    these and a few more, which clip. A row of zeros has as many bits as values up to 1 would.

    Args:
        values: (rows, n) float tensor.
        width: bits of a code.
        signed: whether codes are signed; negative values are ignored where not.
        narrow: symmetric range.
        method: "max" or "mse".

    Returns:
        (rows,) int64, in -60 .. 60.

    Raises:
        PumiceError: values that are not finite, or an unknown method.
    """
    if method not in METHODS:
        raise PumiceError(f"scale method '{method}' is unknown; choose one of {', '.join(METHODS)}")
    values = values.detach().double()
    if not torch.isfinite(values).all():
        raise PumiceError("a tensor to quantize holds NaN or infinity; train again from the last sound checkpoint")
    _, high = code_range(width, signed, narrow)
    used = values.abs() if signed else values.clamp(min=0)
    largest = used.amax(dim=1) if used.shape[1] else used.new_zeros(len(used))
    # largest = mantissa 2**exponent with a mantissa in [1/2, 1): no logarithm, nothing rounded.
    _, exponent = torch.frexp(largest)
    frac = high.bit_length() - exponent.long()
    frac = frac - (largest * pow2(frac.clamp(-MAX_FRAC, MAX_FRAC), largest) >= high + 0.5).long()
    frac = torch.where(largest > 0, frac, high.bit_length()).clamp(-MAX_FRAC, MAX_FRAC)
    if method == "max":
        return frac
    best, least = frac, torch.full_like(largest, torch.inf)
    for finer in range(FINER_EXPONENTS + 1):
        candidate = (frac + finer).clamp(max=MAX_FRAC)
        codes = pow2_codes(values, candidate.unsqueeze(1), width, signed, narrow)
        error = (codes * pow2(-candidate, values).unsqueeze(1) - values).square().sum(dim=1)
        best, least = torch.where(error < least, candidate, best), torch.minimum(error, least)
    return best


def weight_frac(weight: Tensor | np.ndarray, width: int, method: str = "max", per_row: bool = True) -> Tensor:
    """Fractional bits of narrow-range weights.

    Shapes: ``weight`` (rows, ...) -> (rows,) int64; () with ``per_row=False``. See `power_of_two_frac`.
    """
    weight = torch.as_tensor(weight)
    rows = weight.reshape(len(weight) if per_row else 1, -1)
    frac = power_of_two_frac(rows, width, signed=True, narrow=True, method=method)
    return frac if per_row else frac[0]


def activation_frac(values: Tensor, width: int, signed: bool = True, method: str = "max") -> int:
    """Fractional bits of an activation, from observed values of any shape; see `power_of_two_frac`."""
    return int(power_of_two_frac(values.reshape(1, -1), width, signed, narrow=False, method=method))


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
