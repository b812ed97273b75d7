"""The state-space node whose channels do not mix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..bounds import dot_bound, magnitudes, register, register_bits
from ..formats import Format
from .base import Node, check_narrow, check_shift, register_node
from .decays import growing, step_bound, step_loss
from .facts import COMPLEX_ROUNDED, SHIFT_BITS, State, Tensor, biases, shifts, stored
from .features import COMPLEX


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class ChannelSSM(Node):
    """M complex modes for each of H channels, none of which sees another (S4D, Gu et al. 2022, arXiv 2206.11893).

    Input: values u (H,), one row a time step. State: complex x (M, H), real and imaginary codes of ``state_width``
    bits, mode m of channel h at ``state_frac[m, h]`` fractional bits; zero at the start. The input scale is 1: B and
    the discretization's factor lie in the output's weights. One step, both components from the old x::

        x    <- sat(x + rhu(d x)),                     d = (decay_re + i decay_im) 2**-decay_exponent
        Re x <- sat(Re x + rhu(u))                     u moved to state_frac
        y    =  sat(rhu(sum_m (output_re Re x + output_im Im x) + D u + bias))

    ``output_re`` stands for 2 Re C, ``output_im`` for -2 Im C; both hold the modes' fractional bits, so that products
    with codes of x lie at ``output_frac``. The sum is exact and rounded once.

    Shapes: ``state_frac``, ``decay_re``, ``decay_im``, ``decay_exponent``, ``output_re``, ``output_im`` (M, H);
    ``output_frac``, ``feedthrough``, ``feedthrough_frac``, ``bias`` (H,), the last at ``accumulator_frac``.
    """

    equation = "x <- sat(x + rhu(d x)), Re x <- sat(Re x + rhu(u)), y = sat(rhu(C x + D u + b))"
    keeps_state = True
    demands = (COMPLEX,)
    decay_tensors = ("decay_re", "decay_im")

    format: Format
    state_width: int
    state_frac: np.ndarray
    decay_re: np.ndarray
    decay_im: np.ndarray
    decay_width: int
    decay_exponent: np.ndarray
    output_re: np.ndarray
    output_im: np.ndarray
    output_width: int
    output_frac: np.ndarray
    feedthrough: np.ndarray
    feedthrough_width: int
    feedthrough_frac: np.ndarray
    bias: np.ndarray

    @property
    def modes(self) -> int:
        """The number of complex modes M of a channel."""
        return self.decay_re.shape[0]

    @property
    def channels(self) -> int:
        return self.decay_re.shape[1]

    @property
    def state_format(self) -> Format:
        """Width of the state's codes; the fractional bits are ``state_frac``, by mode and channel."""
        return Format(width=self.state_width, signed=True, frac=0)

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.format,)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.channels,)

    @property
    def detail(self) -> str:
        return f"{self.channels} channels of {self.modes} modes of {self.state_width} bits"

    @cached_property
    def drive_shift(self) -> np.ndarray:
        """Right shift from the input to the state, (M, H); negative means an exact left shift."""
        return self.format.frac - self.state_frac.astype(np.int64)

    @cached_property
    def accumulator_frac(self) -> np.ndarray:
        """Fractional bits of the output's exact sum, (H,)."""
        return np.maximum(self.output_frac.astype(np.int64), self._fed_frac)

    @property
    def _fed_frac(self) -> np.ndarray:
        return self.feedthrough_frac.astype(np.int64) + self.format.frac

    @cached_property
    def state_shift(self) -> np.ndarray:
        """Left shift of C x to the sum, (H,)."""
        return self.accumulator_frac - self.output_frac

    @cached_property
    def feedthrough_shift(self) -> np.ndarray:
        """Left shift of D u to the sum, (H,)."""
        return self.accumulator_frac - self._fed_frac

    @cached_property
    def output_shift(self) -> np.ndarray:
        """Right shift from the sum to the output, (H,); negative means an exact left shift."""
        return self.accumulator_frac - self.output.frac

    @property
    def output_accumulator(self) -> str:
        """``"i32"`` or ``"i64"``: what the output's sum needs."""
        return register(self.bounds()["the output"])

    @property
    def decay_accumulator(self) -> str:
        """``"i32"`` or ``"i64"``: what the decay step needs."""
        return register(self.bounds()["the decay step"])

    def tensors(self) -> tuple[Tensor, ...]:
        return stored(
            Tensor("decay_re", self.decay_re, self.decay_width),
            Tensor("decay_im", self.decay_im, self.decay_width),
            Tensor("decay_exponent", self.decay_exponent, SHIFT_BITS),
            Tensor("output_re", self.output_re, self.output_width),
            Tensor("output_im", self.output_im, self.output_width),
            Tensor("feedthrough", self.feedthrough, self.feedthrough_width),
            biases("bias", self.bias, register_bits(self.output_accumulator)),
            *(shifts(name, getattr(self, name).ravel()) for name in self._shifts),
        )

    _shifts = ("drive_shift", "state_shift", "feedthrough_shift", "output_shift")

    def states(self) -> tuple[State, ...]:
        fracs = np.tile(self.state_frac.astype(np.int64).ravel(), 2)
        loss = step_loss(self.decay_re, self.decay_im, self.decay_exponent).ravel()
        return (State("", self.state_width, fracs, loss=loss, rounded=COMPLEX_ROUNDED),)

    def validate(self) -> None:
        self.require(len(self.inputs) == 1, "needs one input")
        self.require(
            self.decay_re.ndim == 2 and self.decay_re.size > 0, f"decay_re has shape {self.decay_re.shape}, not (M, H)"
        )
        shape = self.decay_re.shape
        for what in ("state_frac", "decay_im", "decay_exponent", "output_re", "output_im"):
            self.require_shape(what, getattr(self, what), shape)
        for what in ("output_frac", "feedthrough", "feedthrough_frac", "bias"):
            self.require_shape(what, getattr(self, what), shape[1:])
        self.require(8 <= self.state_width <= 32, f"a state of {self.state_width} bits is outside 8..32")
        for what, width in (
            ("decay_re", "decay"),
            ("decay_im", "decay"),
            ("output_re", "output"),
            ("output_im", "output"),
        ):
            check_narrow(self, what, getattr(self, what), getattr(self, f"{width}_width"))
        check_narrow(self, "feedthrough", self.feedthrough, self.feedthrough_width)
        self.require_range("decay_exponent", self.decay_exponent, 1, 50)
        for what in self._shifts:
            check_shift(self, what, getattr(self, what))
        grows = growing(self.decay_re, self.decay_im, self.decay_exponent)
        worst = np.unravel_index(int(np.argmax(grows)), shape)
        self.require(not grows.any(), f"mode {worst[0]} of channel {worst[1]} grows: its decay exceeds 1")

    def bounds(self) -> Mapping[str, int]:
        state = self.state_format.magnitude
        right, left = np.maximum(self.drive_shift, 0).astype(object), np.maximum(-self.drive_shift, 0).astype(object)
        drive = (self.format.magnitude << left) + (1 << right) // 2
        reads = dot_bound(self.output_re.T, state) + dot_bound(self.output_im.T, state)
        total = reads * (1 << self.state_shift.astype(object)) + magnitudes(self.bias)
        total = total + dot_bound(self.feedthrough, self.format.magnitude) * (
            1 << self.feedthrough_shift.astype(object)
        )
        lost = np.maximum(self.output_shift, 0).astype(object)
        total = total * (1 << np.maximum(-self.output_shift, 0).astype(object)) + (1 << lost) // 2
        return {
            "the drive": int(drive.max()),
            "the state sum": int((drive >> right).max()) + state,
            "the decay step": step_bound(self.decay_re, self.decay_im, self.decay_exponent, state),
            "the output": int(total.max()),
        }
