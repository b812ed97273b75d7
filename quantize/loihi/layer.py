"""A layer's codes for Loihi: scales, decays, even weights, biases and thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import PumiceError
from ...program.formats import Format
from ...program.nodes import SPIKES, LoihiLIF
from ...program.nodes.loihi import ALIGNMENT, BIAS_LIMIT, DECAY_BITS, STATE_LIMIT, THRESHOLD_LIMIT, WEIGHT_LIMIT
from ..straight_through import replace
from .loop import Dynamics

Floats = NDArray[np.float64]
NO_CURRENT_DECAY = 4095
"""du with which the current holds one step's input alone, as a LIF neuron without synaptic filter has it."""

CANDIDATES = 9
STEPS_AN_OCTAVE = 2


@dataclass(frozen=True, eq=False)
class Source:
    """The float parameters of a layer of H neurons: W (H, F), bias (H,), V (H, H) or (H, 0), and decays (H,).

    ``leaks``: what they make enters the potential times 1 - decay, otherwise as it is.
    """

    weight: Tensor
    bias: Tensor
    recurrent: Tensor
    decay: Tensor
    leaks: bool = True


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """Codes of a layer in floats, with gradients to its float parameters; see `loihi_scan`."""

    weight: Tensor
    recurrent: Tensor
    bias: Tensor
    dynamics: Dynamics


class QuantLoihiLayer(nn.Module):
    """What calibration fixes of one layer. Its parameters belong to the float model.

    A float neuron is ``v = a v' + (1 - a) (W x + V z' + b)`` with its own decay a. Here it keeps that, rounded to
    4096ths, and what it reaches under a constant input; ``vth`` codes are its threshold, and weights fill their range.
    Where a layer shares them, all decay alike, and each keeps the height of its response to a single input,
    (1 - a_i) w_ij: under an input that lasts, neurons slower than their layer reach less than they should.

    Buffers: ``gain`` (H,) float64, codes of one unit of a weight; ``code`` (2, H) int64, dv and vth.

    Args:
        neurons: H.
        bits: of the weights.
        path: in the model.
        shared: one decay and one threshold for the layer.
    """

    gain: Tensor
    code: Tensor

    def __init__(self, neurons: int, bits: int, path: str, shared: bool = False) -> None:
        super().__init__()
        self.bits, self.path, self.shared = bits, path, shared
        self.register_buffer("gain", torch.zeros(neurons, dtype=torch.float64))
        self.register_buffer("code", torch.zeros(2, neurons, dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_spread_code)

    @property
    def dynamics(self) -> Dynamics:
        """Decays and thresholds: one each where all neurons have the same.

        Raises:
            PumiceError: the model is not calibrated.
        """
        dv, vth = (int(own[0]) if (own == own[0]).all() else own for own in self.code.cpu().numpy())
        if np.any(vth == 0):
            raise PumiceError(f"{self.path} is not calibrated; calibrate the model before it runs quantized")
        return Dynamics(NO_CURRENT_DECAY, dv, vth)

    def set_scale(self, source: Source, threshold: float, peak: float, method: str) -> None:
        """Choose decays and scales.

        Args:
            source: the float parameters.
            threshold: of the membrane potential, above 0.
            peak: the largest magnitude of the potential, in thresholds.
            method: "max" covers the largest weight, "mse" minimises the squared error.
        """
        loss, one = 1 - _floats(source.decay), 1 << DECAY_BITS
        codes = np.full(len(loss), round(one * float(loss.mean()))) if self.shared else np.rint(one * loss)
        codes = np.clip(codes, 0, one - 1).astype(np.int64)
        rise = (loss if self.shared else codes / one) if source.leaks else np.ones(len(loss))
        relative = rise / threshold
        rows = np.hstack([_floats(source.weight), _floats(source.recurrent)]) * relative[:, None]
        scales = np.array([_scale(part, self.bits, method) for part in ([rows] if self.shared else rows[:, None])])
        highest = min(THRESHOLD_LIMIT, STATE_LIMIT / (2 << ALIGNMENT) / max(peak, 1.0))  # half the state is spare
        scales = np.maximum(np.minimum(scales, highest), 1).astype(np.int64)
        self.gain.copy_(torch.from_numpy(relative * scales))
        self.code[0], self.code[1] = torch.from_numpy(codes), torch.from_numpy(scales)

    def quantized(self, source: Source) -> QuantizedLayer:
        """Codes, straight-through: no gradient where a code lies at the end of its range."""
        dynamics = self.dynamics
        gain = self.gain.to(source.weight)
        limit = _unit(self.bits)[1]
        return QuantizedLayer(
            weight=_codes(source.weight * gain[:, None], self._synapses(source.weight), limit),
            recurrent=_codes(source.recurrent * gain[:, None], self._synapses(source.recurrent), limit),
            bias=_codes(source.bias * gain, self._biases(source.bias), BIAS_LIMIT),
            dynamics=dynamics,
        )

    def node(self, name: str, edge: str, format: Format, source: Source) -> LoihiLIF:
        """The node of the program.

        Raises:
            ProgramError: an intermediate that does not fit.
        """
        return LoihiLIF(
            name=name,
            inputs=(edge,),
            output=SPIKES,
            format=format,
            weight=self._synapses(source.weight).astype(np.int16),
            recurrent=self._synapses(source.recurrent).astype(np.int16),
            weight_bits=self.bits,
            weight_exponent=0,
            bias=self._biases(source.bias).astype(np.int16),
            **self.dynamics._asdict(),
        )

    def clipped_weights(self, source: Source) -> dict[str, int]:
        """How many entries of W, V and the bias lie beyond the range of their codes."""
        unit, limit = _unit(self.bits)
        gain = self.gain.cpu().numpy()[:, None]
        both = {"input": source.weight, "recurrent": source.recurrent}
        clipped = {what: int((np.abs(_floats(part) * gain) >= limit + unit / 2).sum()) for what, part in both.items()}
        return clipped | {"bias": int((np.abs(_floats(source.bias) * gain[:, 0]) >= BIAS_LIMIT + 0.5).sum())}

    def slower(self, source: Source) -> int:
        """How many neurons lose at least a twentieth more a step than their own float decay says."""
        if not self.shared:
            return 0
        return int(np.sum(np.divide(self.dynamics.dv, 1 << DECAY_BITS) > 1.05 * (1 - _floats(source.decay))))

    def _synapses(self, weight: Tensor) -> NDArray[np.int64]:
        return synapse_codes(_floats(weight) * self.gain.cpu().numpy()[:, None], self.bits)

    def _biases(self, bias: Tensor) -> NDArray[np.int64]:
        codes = np.floor(_floats(bias) * self.gain.cpu().numpy() + 0.5)
        return np.clip(codes, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int64)


def _spread_code(layer: QuantLoihiLayer, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Checkpoints of before hold one decay and one threshold a layer."""
    code = state.get(f"{prefix}code")
    if code is not None and code.dim() == 1:
        state[f"{prefix}code"] = code[:, None].expand_as(layer.code).clone()


def synapse_codes(weight: Floats, bits: int) -> NDArray[np.int64]:
    """Weights in codes, any shape: rounded half up to multiples of ``2**(9 - bits)``, symmetric range."""
    unit, limit = _unit(bits)
    return np.clip(np.floor(weight / unit + 0.5) * unit, -limit, limit).astype(np.int64)


def _unit(bits: int) -> tuple[int, int]:
    unit = 1 << (9 - bits)
    return unit, WEIGHT_LIMIT // unit * unit


def _scale(rows: Floats, bits: int, method: str) -> float:
    """Codes of one threshold that suit the rows of weights in thresholds (H, F + H); infinite if all are 0."""
    largest = float(np.abs(rows).max(initial=0.0))
    if largest == 0.0:
        return float("inf")
    covering = _unit(bits)[1] / largest
    if method == "max":
        return covering
    scales = covering * 2.0 ** (np.arange(CANDIDATES) / STEPS_AN_OCTAVE)
    errors = [float(((synapse_codes(rows * scale, bits) / scale - rows) ** 2).sum()) for scale in scales]
    return float(scales[int(np.argmin(errors))])


def _codes(real: Tensor, codes: NDArray[np.int64], limit: int) -> Tensor:
    inside = (real.detach().abs() <= limit).to(real)
    return replace(real, torch.from_numpy(codes).to(real), inside)


def _floats(tensor: Tensor) -> Floats:
    values = tensor.detach().cpu().double().numpy()
    if not np.isfinite(values).all():
        raise PumiceError("a weight is NaN or infinite; train the model again")
    return values
