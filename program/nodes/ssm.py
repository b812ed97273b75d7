"""The diagonal state-space node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..bounds import dot_bound, magnitudes, register, register_bits
from ..formats import Format
from .base import GAP, VALUE, Node, check_narrow, check_shift, register_node
from .decays import growing, step_bound, step_loss
from .facts import COMPLEX_ROUNDED, REAL_ROUNDED, SHIFT_BITS, State, Tensor, biases, shifts, stored
from .features import COMPLEX, REAL_MODES
from .inputs import GAP_FORMAT


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class DiagonalSSM(Node):
    """P complex or real modes driven by input events; the decay of a gap is applied once, at the event that ends it.

    Inputs: values u (H,) and the gap n in ticks. State: complex x (P,), real and imaginary codes of ``state_width``
    bits, mode p at ``state_frac[p]`` fractional bits; zero at the start.

    The gap is clipped to ``2**J - 1`` (counted). ``decay_n`` applies, for each binary digit j of n that is set,
    least significant first, one step with the complement ``d = a**(2**j) - 1``, both components from the old x::

        x <- sat(x + rhu(d_j x)),     d_j = (decay_re[j] + i decay_im[j]) 2**-decay_exponent[j]

    ``discretization`` "async" or "dirac" (input scaling folded into B)::

        v = (input_re + i input_im) u + (bias_re + i bias_im)        at input_frac + format.frac bits
        x <- sat(decay_n(x) + rhu(v))

    ``discretization`` "zoh" (``B / Lambda`` in place of B); n = 0 leaves x as it is::

        x <- sat(decay_n(sat(x + rhu(v))) - rhu(v))

    Output: the 2 P codes (real parts, then imaginary parts) ``sat(rhu(x / 2**read_shift))``; the consumer's weights
    hold the modes' fractional bits, so the edge's own frac is 0.

    Real modes have no imaginary parts: ``input_im``, ``bias_im`` and ``decay_im`` are empty, the state has P codes, the
    output as many, and a decay step one product a mode.

    Shapes: ``input_re``, ``input_im`` (P, H); ``input_frac``, ``bias_re``, ``bias_im``, ``state_frac`` (P,);
    ``decay_re``, ``decay_im``, ``decay_exponent`` (J, P); of real modes ``input_im`` (0, H), ``bias_im`` (0,),
    ``decay_im`` (J, 0).
    """

    equation = "x <- sat(decay_n(x) + rhu(B u + b)), y = sat(rhu(x / 2**read_shift))"
    keeps_state = True
    matrices = ("input_re", "input_im")
    decay_tensors = ("decay_re", "decay_im")

    format: Format
    discretization: str
    input_re: np.ndarray
    input_im: np.ndarray
    input_width: int
    input_frac: np.ndarray
    bias_re: np.ndarray
    bias_im: np.ndarray
    state_width: int
    state_frac: np.ndarray
    decay_re: np.ndarray
    decay_im: np.ndarray
    decay_width: int
    decay_exponent: np.ndarray
    read_shift: int

    @property
    def modes(self) -> int:
        """The number of modes P."""
        return self.input_re.shape[0]

    @property
    def real(self) -> bool:
        """Whether the modes are real."""
        return self.input_im.size == 0

    @property
    def parts(self) -> int:
        """Codes of a mode's state: 1 of a real mode, 2 of a complex one."""
        return 1 if self.real else 2

    @property
    def digits(self) -> int:
        """The number J of binary digits of a gap."""
        return self.decay_re.shape[0]

    @cached_property
    def decays(self) -> int:
        """How many decays are kept: one where all modes share it, else one a mode."""
        tables = self.decay_re, self.decay_im, self.decay_exponent
        return 1 if all((table == table[:, :1]).all() for table in tables) else self.modes

    @property
    def max_gap(self) -> int:
        """Longer gaps are clipped to this."""
        return (1 << self.digits) - 1

    @property
    def state_format(self) -> Format:
        """Width of the state's codes; the fractional bits are ``state_frac``, by mode."""
        return Format(width=self.state_width, signed=True, frac=0)

    @property
    def channels(self) -> int:
        return self.parts * self.modes

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.format, GAP_FORMAT)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.input_re.shape[1], 1)

    @property
    def features(self) -> tuple[str, ...]:
        return (REAL_MODES,) if self.real else (COMPLEX,)

    @property
    def roles(self) -> tuple[str, ...]:
        return (VALUE, GAP)

    @property
    def detail(self) -> str:
        modes = f"{self.modes} real modes" if self.real else f"{self.modes} modes"
        return f"{self.discretization}, {modes} of {self.state_width} bits, {self.digits} gap digits"

    def tensors(self) -> tuple[Tensor, ...]:
        bias = np.concatenate([self.bias_re, self.bias_im])
        return stored(
            Tensor("input_re", self.input_re, self.input_width),
            Tensor("input_im", self.input_im, self.input_width),
            Tensor("decay_re", self.decay_re[:, : self.decays], self.decay_width),
            Tensor("decay_im", self.decay_im[:, : self.decays], self.decay_width),
            Tensor("decay_exponent", self.decay_exponent[:, : self.decays], SHIFT_BITS),
            biases("bias", bias, register_bits(self.drive_accumulator)),
            shifts("drive_shift", self.drive_shift),
        )

    def states(self) -> tuple[State, ...]:
        fracs = np.tile(self.state_frac.astype(np.int64), self.parts)
        clock, rounded = self.edge(GAP), REAL_ROUNDED if self.real else COMPLEX_ROUNDED
        return (State("", self.state_width, fracs, loss=self._loss(), clock=clock, rounded=rounded),)

    def _loss(self) -> np.ndarray:
        """``1 - |a|`` of one tick, (P,), without cancellation."""
        return step_loss(self.decay_re[0], self._turns[0], self.decay_exponent[0])

    @property
    def _turns(self) -> np.ndarray:
        """The decays' imaginary parts (J, P), zero of real modes."""
        return np.zeros_like(self.decay_re) if self.real else self.decay_im

    @cached_property
    def drive_shift(self) -> np.ndarray:
        """Right shift from the drive's accumulator to the state, (P,); negative means an exact left shift."""
        return self.input_frac.astype(np.int64) + self.format.frac - self.state_frac.astype(np.int64)

    @property
    def channel_shift(self) -> np.ndarray:
        """``drive_shift`` of every code of the state, (channels,)."""
        return np.tile(self.drive_shift, self.parts)

    @property
    def drive_accumulator(self) -> str:
        """``"i32"`` or ``"i64"``: what the drive needs."""
        return register(self.bounds()["the drive"])

    @property
    def decay_accumulator(self) -> str:
        """``"i32"`` or ``"i64"``: what the decay step needs."""
        return register(self.bounds()["the decay step"])

    def validate(self) -> None:
        modes, digits = self.modes, self.digits
        self.require(len(self.inputs) == 2, "needs two inputs, values and gaps")
        self.require(
            self.discretization in ("async", "dirac", "zoh"),
            f"discretization {self.discretization!r} is unknown; use async, dirac or zoh",
        )
        self.require(self.input_re.ndim == 2 and modes >= 1, f"input_re has shape {self.input_re.shape}, not (P, H)")
        turning = 0 if self.real else modes
        self.require_shape("input_im", self.input_im, (turning, self.input_re.shape[1]))
        for what in ("input_frac", "bias_re", "state_frac"):
            self.require_shape(what, getattr(self, what), (modes,))
        self.require_shape("bias_im", self.bias_im, (turning,))
        self.require(1 <= digits <= 30, f"{digits} gap digits are outside 1..30")
        for what in ("decay_re", "decay_exponent"):
            self.require_shape(what, getattr(self, what), (digits, modes))
        self.require_shape("decay_im", self.decay_im, (digits, turning))
        self.require(8 <= self.state_width <= 32, f"a state of {self.state_width} bits is outside 8..32")
        self.require(0 <= self.read_shift < self.state_width, f"read_shift {self.read_shift} leaves no state bits")
        self.require(self.output.frac == 0 and self.output.signed, "the output is signed with frac 0")
        for what in ("input_re", "input_im"):
            check_narrow(self, what, getattr(self, what), self.input_width)
        for what in ("decay_re", "decay_im"):
            check_narrow(self, what, getattr(self, what), self.decay_width)
        self.require_range("decay_exponent", self.decay_exponent, 1, 50)
        check_shift(self, "drive_shift", self.drive_shift)
        grows = growing(self.decay_re, self._turns, self.decay_exponent).any(axis=0)
        self.require(not np.any(grows), f"mode {int(np.argmax(grows))} grows: its decay exceeds 1")

    def bounds(self) -> Mapping[str, int]:
        state = self.state_format.magnitude
        drive = dot_bound(self.input_re, self.format.magnitude) + magnitudes(self.bias_re)
        if not self.real:
            turning = dot_bound(self.input_im, self.format.magnitude) + magnitudes(self.bias_im)
            drive = np.maximum(drive, turning)
        right = np.maximum(self.drive_shift, 0)
        half = (1 << right.astype(object)) // 2
        left = np.maximum(-self.drive_shift, 0).astype(object)
        in_state = [(int(d) << int(lf)) + (int(h)) for d, lf, h in zip(drive, left, half, strict=True)]
        rounded = max(
            (int(d) + int(h)) >> int(r) if r else int(d) << int(lf)
            for d, h, r, lf in zip(drive, half, right, left, strict=True)
        )
        return {
            "the drive": max(in_state),
            "the state sum": rounded + state,
            "the decay step": step_bound(self.decay_re, self._turns, self.decay_exponent, state),
        }
