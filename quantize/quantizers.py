"""Brevitas quantizers with power-of-two scales, rounding half up and exponents that are integers.

Brevitas' own fixed-point quantizers take the scale's exponent as ``ceil(log2 max)`` in the tensor's precision, so that
float32 and float64 may disagree by an octave, and fall back to an arbitrary scale where nothing was calibrated. Here
the exponents come from `power_of_two_frac`, are kept as integer buffers, and a missing one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from brevitas.core.quant import RescalingIntQuant
from brevitas.inject import ExtendedInjector
from brevitas.nn import QuantIdentity
from brevitas.nn.mixin import QuantWeightMixin
from brevitas.quant.base import IntQuant, NarrowIntQuant
from brevitas.quant.fixed_point import PerChannelPoTScaling8bit, PerTensorPoTScaling8bit
from brevitas.quant.solver.act import ActQuantSolver
from brevitas.quant.solver.weight import WeightQuantSolver
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import PumiceError
from ..models.modules import ModuleDict
from ..program.formats import Format
from .codes import Floats, Fracs, rounded
from .rounding import RoundHalfUp, pow2, pow2_quantize

UNSET = -(1 << 30)


class WeightScaling(nn.Module):
    """Brevitas' ``scaling_impl`` of weights: the scales that were set.

    Buffer: ``frac`` int64 in the scale's shape.
    """

    frac: Tensor

    def __init__(self, scaling_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("frac", torch.full(scaling_shape, UNSET, dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_drop_frozen)

    def known(self) -> Tensor:
        """The exponents, broadcastable to the weight."""
        if (self.frac == UNSET).any():
            raise PumiceError("a weight has no scale yet; freeze or run the whole model, which sets them")
        return self.frac

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        """``2**-frac``, broadcastable to x."""
        return pow2(-self.frac, x)


def _drop_frozen(scaling: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Checkpoints of older versions hold a flag that is no more."""
    state.pop(f"{prefix}frozen", None)


class ActivationScaling(nn.Module):
    """Brevitas' ``scaling_impl`` of activations: a constant scale, refused while there is none.

    Buffer: ``frac`` () int64.
    """

    frac: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frac", torch.tensor(UNSET))

    def known(self) -> int:
        """The exponent."""
        frac = int(self.frac)
        if frac == UNSET:
            raise PumiceError("an activation has no scale yet; calibrate the model before it runs quantized")
        return frac

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:
        """``2**-frac``, ()."""
        return pow2(-self.frac, x)


class PowerOfTwoQuant(RescalingIntQuant):
    """Brevitas' ``tensor_quant`` for integer exponents: the same values in one pass in place of nine.

    Args:
        bit_width: bits of the codes.
        narrow_range: whether the lowest code is left out.
    """

    def __init__(
        self,
        int_quant: nn.Module,
        scaling_impl: nn.Module,
        int_scaling_impl: nn.Module,
        zero_point_impl: nn.Module,
        bit_width_impl: nn.Module,
        bit_width: int,
        narrow_range: bool,
    ) -> None:
        super().__init__(int_quant, scaling_impl, int_scaling_impl, zero_point_impl, bit_width_impl)
        self.bits, self.narrow = int(bit_width), narrow_range

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Values of the codes of x, scale, zero point (0) and bits."""
        scaling: Any = self.scaling_impl
        frac = scaling.known()
        straight = isinstance(scaling, WeightScaling)
        y = pow2_quantize(x, frac, self.bits, narrow=self.narrow, straight=straight)
        return y, scaling(x, x), self.zero_point_impl(x, x, x), self.msb_clamp_bit_width_impl()


class _PowerOfTwoWeight(NarrowIntQuant):
    float_to_int_impl = RoundHalfUp
    tensor_quant = PowerOfTwoQuant
    scaling_impl = WeightScaling


class RowWeight(_PowerOfTwoWeight, PerChannelPoTScaling8bit, WeightQuantSolver):
    """Brevitas ``weight_quant`` with one exponent an output row; ``weight_bit_width``."""

    scaling_impl_type = "const"


class TensorWeight(_PowerOfTwoWeight, PerTensorPoTScaling8bit, WeightQuantSolver):
    """Brevitas ``weight_quant`` with one exponent for all; ``weight_bit_width``."""

    scaling_impl_type = "const"


class Activation(PerTensorPoTScaling8bit, ActQuantSolver, IntQuant):
    """Brevitas ``act_quant`` for signed codes; ``bit_width``."""

    scaling_impl_type = "const"
    float_to_int_impl = RoundHalfUp
    tensor_quant = PowerOfTwoQuant
    scaling_impl = ActivationScaling


class QuantActivation(QuantIdentity):
    """A brevitas identity that quantizes activations to signed codes at a calibrated power of two; any shape.

    The gradient is 1 inside the range and 0 where codes are clipped.

    Raises:
        PumiceError: on a forward pass without ``frac``.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(act_quant=Activation, bit_width=width)
        self.act_quant.skip_create_quant_tensor = True

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


Quantizers = ModuleDict[QuantActivation]
"""Of edges, in place of plain rounding and saturation."""


def store(quantizers: Quantizers | None, edge: str, x: Tensor, format: Format) -> Tensor:
    """``sat(rhu(x))``, by the edge's own quantizer where there are any."""
    if quantizers is not None:
        return quantizers[edge](x)
    return pow2_quantize(x, format.frac, format.width, format.signed)


class TensorQuantizer(QuantWeightMixin, nn.Module):
    """Narrow-range, power-of-two fake quantization of computed tensors, such as ``gamma B``, as brevitas' of a weight.

    Args:
        shape: of the tensors, (rows, ...).
        width: bits of the codes.
        per_row: one exponent a row; else one for all.
    """

    def __init__(self, shape: Sequence[int], width: int, *, per_row: bool = True) -> None:
        nn.Module.__init__(self)
        self.width = width
        self.weight = torch.zeros(()).expand(tuple(shape))  # brevitas reads its shape
        injector: type[ExtendedInjector] = RowWeight if per_row else TensorWeight
        QuantWeightMixin.__init__(self, injector, weight_bit_width=width)
        quantizer: Any = self.weight_quant
        quantizer.skip_create_quant_tensor = True

    @property
    def output_channel_dim(self) -> int:
        return 0

    @property
    def out_channels(self) -> int:
        """Rows."""
        return self.weight.shape[0]

    @property
    def _scaling(self) -> WeightScaling:
        quantizer: Any = self.weight_quant
        return quantizer.tensor_quant.scaling_impl

    @property
    def frac(self) -> Tensor:
        """Fractional bits, (rows,) or (1,), int64.

        Raises:
            PumiceError: they were not set.
        """
        return self._scaling.known().flatten()

    def set_frac(self, frac: NDArray[np.int64] | int) -> None:
        """Set the fractional bits, (rows,) or one."""
        kept = self._scaling.frac
        kept.copy_(torch.as_tensor(frac).reshape(kept.shape))

    def forward(self, x: Tensor) -> Tensor:
        """Quantize x, which has the shape that was given."""
        quantizer: Any = self.weight_quant
        return quantizer(x)


def edge_format(quantizer: QuantActivation, name: str) -> Format:
    """The format of a calibrated activation.

    Raises:
        PumiceError: it is not calibrated.
    """
    if quantizer.frac is None:
        raise PumiceError(f"{name} is not calibrated; calibrate the model before it runs quantized")
    return Format(quantizer.width, True, quantizer.frac)


def set_edge(quantizer: QuantActivation, frac: int | None, name: str) -> int:
    """Set an activation's exponent, and return it.

    Raises:
        PumiceError: nothing was seen there.
    """
    if frac is None:
        raise PumiceError(
            f"calibration saw no value at {name}; give it samples with at least one complete window of events"
        )
    quantizer.frac = frac
    return frac


def quantizers_of(shapes: Mapping[str, Sequence[int]], width: int, *, per_row: bool) -> ModuleDict[TensorQuantizer]:
    """Quantizers of tensors, by name."""
    return ModuleDict({name: TensorQuantizer(shape, width, per_row=per_row) for name, shape in shapes.items()})


def set_fracs(quantizers: ModuleDict[TensorQuantizer], fracs: Mapping[str, Fracs | int]) -> None:
    """Set the exponents of all ``quantizers``, by name; (rows,) or one."""
    for name, quantizer in quantizers.items():
        quantizer.set_frac(fracs[name])


def fracs_of(quantizers: ModuleDict[TensorQuantizer]) -> dict[str, Fracs]:
    """The exponents that were set, by name, (rows,) or (1,)."""
    return {name: quantizer.frac.cpu().numpy() for name, quantizer in quantizers.items()}


def clipped(weight: Floats, frac: NDArray[np.int64], width: int) -> int:
    """How many entries of ``weight`` (rows, n) lie beyond the range of codes of ``width`` bits at ``frac`` (rows,)."""
    highest = (1 << (width - 1)) - 1
    return int((rounded(np.abs(np.ldexp(weight, frac.reshape(-1, 1)))) > highest).sum())


class InputQuantizer(nn.Module):
    """The format of the input, as calibration found it.

    Buffer: ``code`` (3,) int64, width, signedness and fractional bits.
    """

    code: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("code", torch.full((3,), UNSET))

    @property
    def format(self) -> Format:
        """The format.

        Raises:
            PumiceError: the model is not calibrated.
        """
        width, signed, frac = self.code.tolist()
        if frac == UNSET:
            raise PumiceError("the input is not calibrated; calibrate the model before it runs quantized")
        return Format(width, bool(signed), frac)

    @format.setter
    def format(self, format: Format) -> None:
        self.code.copy_(torch.tensor([format.width, format.signed, format.frac]))
