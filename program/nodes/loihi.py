"""Neurons in a chip's own arithmetic: Loihi's leaky integrate-and-fire, as Lava's stock processes compute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..bounds import dot_bound, largest
from ..formats import Format
from .base import register_node
from .facts import State, Tensor, biases, shared, shifts, stored
from .features import CUBA
from .layer import SPIKES, NeuronLayer

STATE_LIMIT = 1 << 23
"""u wraps and v clips at 24 bits: u in (-2**23, 2**23], v in (-2**23, 2**23)."""

STATE_BITS = STATE_LIMIT.bit_length()
"""Bits of u and of v, each."""

ALIGNMENT = 6
"""Synaptic input, bias and threshold are shifted left by this before they meet the state."""

DECAY_BITS = 12
WEIGHT_LIMIT = 254
BIAS_LIMIT = (1 << 12) - 1
THRESHOLD_LIMIT = (1 << 17) - 1
LIMITS = {"du": 4095, "dv": 4095, "vth": THRESHOLD_LIMIT}
"""The largest value of what a layer shares, or each neuron has; the lowest is 0."""


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class LoihiLIF(NeuronLayer):
    """H current-based LIF neurons, bit for bit those of ``lava.proc.lif.LIF`` behind ``lava.proc.dense.Dense``.

    Exempt from the rounding and saturation of other nodes. With ``trunc`` towards zero and primes for the step before::

        a = (W x << e) + (V z' << e)                         e < 0: each sum >> -e, rounded down
        u = wrap(trunc(u' (4095 - du) / 4096) + 64 a)        above 2**23 less 2**24, from -2**23 down more 2**24, once
        v = clip(trunc(v' (4096 - dv) / 4096) + u + 64 bias) to +-(2**23 - 1)
        z = [v > 64 vth];   v = 0 where z

    The state is zero before the first step. Weights are those of ``sign_mode=MIXED``: of ``weight_bits`` bits, that is
    multiples of 2**(9 - weight_bits), even at least. ``du``, ``dv`` and ``vth`` each serve the whole layer as one
    integer, or are one a neuron.

    One step here is one step of the data. In a Lava network every Dense sends at step t what it received at t - 1: the
    V z' above is its own delay, while W x makes layer l, counted from 0, see step k of the data at Lava's step
    k + l + 1 (both from 0). Until then its u, v and the spikes in its recurrent Dense have to be set to zero, since the
    bias acts from the first step on; then its spikes are those of this node, l + 1 steps late.

    Output: spikes. State: u, then v after the reset. Wraps and clips are counted as saturations.

    Shapes: ``weight`` W (H, F), ``recurrent`` V (H, H) or (H, 0), ``bias`` (H,); ``du``, ``dv``, ``vth`` () or (H,).
    """

    equation = (
        "u = wrap(trunc(u (4095 - du) / 4096) + 64 (W x + V z)), "
        "v = clip(trunc(v (4096 - dv) / 4096) + u + 64 bias), z = [v > 64 vth], v = 0 where z"
    )
    is_series = True
    chip = "loihi"
    demands = (CUBA,)
    matrices = ("weight", "recurrent")
    decay_tensors = ("du", "dv")

    format: Format
    weight: np.ndarray
    recurrent: np.ndarray
    weight_bits: int
    weight_exponent: int
    bias: np.ndarray
    du: int | np.ndarray
    dv: int | np.ndarray
    vth: int | np.ndarray

    @property
    def feed(self) -> np.ndarray:
        return self.weight

    @property
    def detail(self) -> str:
        recurrent = ", recurrent" if self.is_recurrent else ""
        return f"u and v of {STATE_BITS} bits, {self.weight_bits}-bit weights{recurrent}"

    def tensors(self) -> tuple[Tensor, ...]:
        return stored(
            Tensor("weight", self.weight, self.weight_bits),
            Tensor("recurrent", self.recurrent, self.weight_bits),
            biases("bias", self.bias, BIAS_LIMIT.bit_length() + 1),
            *(shared(what, self.each(what), limit.bit_length()) for what, limit in LIMITS.items()),
            shifts("weight_exponent", (self.weight_exponent,)),
        )

    def states(self) -> tuple[State, ...]:
        one, fracs = 1 << DECAY_BITS, np.full(self.neurons, ALIGNMENT, dtype=np.int64)
        loss = {"u": (self.each("du") + 1) / one, "v": self.each("dv") / one}  # truncated: nothing stands still
        states = [State(name, STATE_BITS, fracs, loss=lost) for name, lost in loss.items()]
        return (*states, *self._spikes())

    @property
    def message_bits(self) -> int:
        """``num_message_bits`` of the input: 0 for spikes, otherwise the width of what arrives."""
        return 0 if self.format == SPIKES else self.format.width

    def each(self, what: str) -> np.ndarray:
        """``du``, ``dv`` or ``vth`` of every neuron, (H,) int64."""
        return np.broadcast_to(np.asarray(getattr(self, what), dtype=np.int64), (self.neurons,))

    def validate(self) -> None:
        self.require(len(self.inputs) == 1, "needs one input")
        self.require(self.output == SPIKES, f"the output is spikes, {SPIKES}")
        self.require(self.format.frac == 0, f"spikes or counts are expected, not {self.format}")
        self.require(self.weight.ndim == 2 and self.neurons >= 1, f"weight has shape {self.weight.shape}")
        own, shapes = self.recurrent.shape, [(self.neurons, self.neurons), (self.neurons, 0)]
        self.require(own in shapes, f"recurrent has shape {own}, not (H, H) or (H, 0)")
        self.require_shape("bias", self.bias, (self.neurons,))
        self.require(1 <= self.weight_bits <= 8, f"weights of {self.weight_bits} bits are outside 1..8")
        self.require(-8 <= self.weight_exponent <= 7, f"weight_exponent {self.weight_exponent} is outside -8..7")
        unit = 1 << (9 - self.weight_bits)
        for what in ("weight", "recurrent"):
            codes = getattr(self, what)
            self.require_range(what, codes, -WEIGHT_LIMIT - 2, WEIGHT_LIMIT)
            self.require(not np.any(codes % unit), f"{what} holds values that are no multiple of {unit}")
        self.require_range("bias", self.bias, -BIAS_LIMIT - 1, BIAS_LIMIT)
        for what, limit in LIMITS.items():
            value = getattr(self, what)
            if isinstance(value, np.ndarray):
                self.require_shape(what, value, (self.neurons,))
                self.require_range(what, value, 0, limit)
            else:
                self.require(isinstance(value, (int, np.integer)), f"{what}={value} is no whole number")
                self.require(0 <= value <= limit, f"{what}={value} is outside 0..{limit}")
        bits = self.bounds()["the current"].bit_length()
        self.require(bits < 32, f"the current can reach {bits} bits, the limit is 31; narrow the input's format")

    def bounds(self) -> Mapping[str, int]:
        exponent = max(self.weight_exponent, 0)
        sums = dot_bound(self.weight, self.format.magnitude) + dot_bound(self.recurrent, 1)
        driven = sums * (1 << (ALIGNMENT + exponent))
        # One wrap brings u back below 2**23 unless a single step drives it by more than 2**24.
        beyond = np.maximum(driven - 2 * STATE_LIMIT, 0) * (1 << DECAY_BITS)
        kept = np.maximum(-(-beyond // (self.each("du").astype(object) + 1)), STATE_LIMIT)
        most = int(max(kept))
        return {
            "the current": int(max(kept + driven)),
            "the decay step": most << DECAY_BITS,
            "the potential": STATE_LIMIT + most + (largest(self.bias) << ALIGNMENT),
        }
