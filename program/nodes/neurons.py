"""Clocked nodes: layers of spiking neurons, their recurrence inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..bounds import dot_bound, largest, magnitudes, register, register_bits, rounding_term
from ..formats import Format
from .base import check_decay, check_narrow, check_shift, register_node
from .facts import HIDDEN, State, Tensor, biases, decaying, shared, shifts, stored, whole, whole_codes
from .features import ADAPTATION, LEAKY, REFRACTORY
from .layer import SPIKES, NeuronLayer
from .resets import AT_ONCE, MOST_REFRACTORY, RESETS, SUBTRACTING, ZERO, is_late

ORDERS = ("se", "ef")


@dataclass(frozen=True, eq=False, kw_only=True)
class Neurons(NeuronLayer):
    """What layers of neurons share: H neurons driven by inputs x (F,) and by their own spikes of the step before.

    One input row is one time step. The state is zero before the first step. Constants are codes, ``input`` stands for
    W and ``recurrent`` for V (from the column's neuron to the row's; (H, 0) for a layer without recurrence):

        I = rhu(W x + V z' + bias)        to the fractional bits of ``potential``: one exact sum, rounded once

    What ``rise`` multiplies is I or what a second state makes of it. ``reset`` says what a spike does to u; primes are
    of the step before, and v = rhu(alpha u' + rise I)::

        zero            u^ = sat(v);                              z = [u^ > threshold];   u = u^ (1 - z)
        subtract        u^ = sat(v);                              z = [u^ > threshold];   u = u^ - threshold z
        late-zero       u^ = sat(v (1 - [u' > threshold]));       z = [u^ > threshold];   u = u^
        late-subtract   u^ = sat(v - threshold [u' > threshold]); z = [u^ > threshold];   u = u^

    Thresholds are not below 0 but with ``zero``, so that neurons are silent at the start, and u^ - threshold fits.

    ``refractory`` is for how many steps after a spike a neuron is silent and its potential held at what the spike left
    of it, without leak, input or store (as in Lava's LIFRefractory, NEST's iaf models, Brian's "unless refractory"). A
    counter c, zero at the start, tells how many are left; synaptic currents, adaptations and other neurons go on::

        held            u^ = u';   z = 0                          where c' > 0
        c = refractory where z, else max(c' - 1, 0)

    It needs a reset at once: a late one would act in a step that is held, where nothing changes.

    Shapes: ``input`` (H, F); ``recurrent`` (H, H) or (H, 0); ``input_frac``, ``recurrent_frac``, ``bias``, ``alpha``,
    ``rise``, ``threshold`` (H,). ``bias`` lives at ``accumulator_frac``, ``threshold`` at ``potential.frac``;
    ``alpha_frac`` and ``rise_frac`` are those of all neurons.
    """

    demands = (LEAKY,)
    matrices = ("input", "recurrent")
    decay_tensors = ("alpha", "beta")

    format: Format
    input: np.ndarray
    input_width: int
    input_frac: np.ndarray
    recurrent: np.ndarray
    recurrent_width: int
    recurrent_frac: np.ndarray
    bias: np.ndarray
    potential: Format
    threshold: np.ndarray
    constant_width: int
    alpha: np.ndarray
    alpha_frac: int
    rise: np.ndarray
    rise_frac: int
    reset: str = ZERO
    refractory: int = 0

    @property
    def feed(self) -> np.ndarray:
        return self.input

    @cached_property
    def accumulator_frac(self) -> np.ndarray:
        """Fractional bits of the current's exact sum, (H,)."""
        own = self.input_frac.astype(np.int64) + self.format.frac
        return np.maximum(own, self.recurrent_frac) if self.is_recurrent else own

    @cached_property
    def input_shift(self) -> np.ndarray:
        """Left shift of W x to the sum, (H,)."""
        return self.accumulator_frac - self.input_frac - self.format.frac

    @cached_property
    def recurrent_shift(self) -> np.ndarray:
        """Left shift of V z to the sum, (H,)."""
        return self.accumulator_frac - self.recurrent_frac

    @cached_property
    def current_shift(self) -> np.ndarray:
        """Right shift from the sum to the current, (H,); negative means an exact left shift."""
        return self.accumulator_frac - self.potential.frac

    @property
    def kind(self) -> str:
        """Which neurons they are: "lif", "cuba", or the order of the adaptation, "se" or "ef"."""
        return "lif"

    @property
    def second(self) -> Format | None:
        """The format of the second state, where there is one."""
        return None

    @property
    def drive_frac(self) -> int:
        """Fractional bits of what ``rise`` multiplies."""
        return self.potential.frac

    @property
    def rises(self) -> bool:
        """Whether ``rise`` changes anything: it is not 1 for all."""
        return self.rise_frac != 0 or bool(np.any(self.rise != 1))

    @property
    def potential_shifts(self) -> tuple[int, int, int]:
        """Left shifts of ``alpha u`` and of the product with ``rise`` to their sum; right shift from there to u."""
        decayed, driven = self.alpha_frac + self.potential.frac, self.rise_frac + self.drive_frac
        top = max(decayed, driven)
        return top - decayed, top - driven, top - self.potential.frac

    @property
    def detail(self) -> str:
        recurrent = f", {self.recurrent_width}-bit recurrent ones" if self.is_recurrent else ""
        reset = "" if self.reset == ZERO else f", {self.reset} reset"
        held = f", refractory {self.refractory}" if self.refractory else ""
        return f"u {self.potential}, {self.input_width}-bit weights{recurrent}{reset}{held}"

    @property
    def features(self) -> tuple[str, ...]:
        return (*super().features, REFRACTORY) if self.refractory else super().features

    def tensors(self) -> tuple[Tensor, ...]:
        current = register_bits(register(self.bounds()["the current"]))
        return stored(
            Tensor("input", self.input, self.input_width),
            Tensor("recurrent", self.recurrent, self.recurrent_width),
            biases("bias", self.bias, current),
            shared("threshold", self.threshold, self.potential.width),
            *(
                whole(name, getattr(self, name), self.constant_width)
                for name in self.constants
                if name != "rise" or self.rises
            ),
            *(shifts(name, exponents) for name, exponents in self._shifts().items()),
        )

    def _shifts(self) -> dict[str, np.ndarray | tuple[int, ...]]:
        """All shifts of a step, by property."""
        names = ["input_shift", *(["recurrent_shift"] if self.is_recurrent else []), "current_shift"]
        return {name: getattr(self, name) for name in (*names, "potential_shifts")}

    def states(self) -> tuple[State, ...]:
        u = decaying("u", self.potential, self.alpha, self.alpha_frac)
        return (u, *self._spikes(), *self._counters())

    def _counters(self) -> tuple[State, ...]:
        """The refractory steps that are left, where there are some; the spikes of the trace tell them."""
        width = self.refractory.bit_length()
        return (State("c", width, whole_codes(self.neurons), HIDDEN),) if width else ()

    def validate(self) -> None:
        neurons = self.neurons
        self.require(len(self.inputs) == 1, "needs one input")
        self.require(self.output == SPIKES, f"its output are spikes, {SPIKES}, not {self.output}")
        self.require(self.input.ndim == 2 and self.input.size > 0, f"input has shape {self.input.shape}, not (H, F)")
        self.require(
            self.recurrent.shape in ((neurons, neurons), (neurons, 0)),
            f"recurrent has shape {self.recurrent.shape}, not ({neurons}, {neurons}) or ({neurons}, 0)",
        )
        for what in ("input_frac", "recurrent_frac", "bias", "threshold", *self.constants):
            self.require_shape(what, getattr(self, what), (neurons,))
        check_narrow(self, "input", self.input, self.input_width)
        check_narrow(self, "recurrent", self.recurrent, self.recurrent_width)
        for what in self.constants:
            codes = getattr(self, what)
            check_narrow(self, what, codes, self.constant_width)
            self.require_range(what, codes, 0, 1 << 32)
            check_shift(self, f"{what}_frac", getattr(self, f"{what}_frac"))
        self.require(8 <= self.potential.width <= 32 and self.potential.signed, "u is signed, of 8 to 32 bits")
        self.require(self.reset in RESETS, f"reset {self.reset!r} is unknown; use one of {', '.join(RESETS)}")
        lowest = self.potential.min - 1 if self.reset == ZERO else 0
        self.require_range("threshold", self.threshold, lowest, self.potential.max)
        self.require(
            0 <= self.refractory <= MOST_REFRACTORY, f"refractory={self.refractory} is outside 0..{MOST_REFRACTORY}"
        )
        self.require(
            not (self.refractory and is_late(self.reset)),
            f"a {self.reset} reset acts in a refractory step, where nothing changes; use {AT_ONCE.get(self.reset)}",
        )
        check_decay(self, "alpha", "a membrane", most=1)
        for shift in (self.input_shift, self.recurrent_shift, self.current_shift, *self.potential_shifts):
            check_shift(self, "a shift", shift)

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of the constants that multiply states; each has its ``<name>_frac``."""
        return ("alpha", "rise")

    def _sums(self) -> np.ndarray:
        """Bounds of W x + V z + bias, (H,) object."""
        sums = magnitudes(self.bias)
        sums = sums + dot_bound(self.input, self.format.magnitude) * (1 << self.input_shift.astype(object))
        if self.is_recurrent:
            sums = sums + dot_bound(self.recurrent, 1) * (1 << self.recurrent_shift.astype(object))
        return sums

    def _current_bound(self) -> int:
        """Bound of I."""
        pairs = zip(self._sums(), self.current_shift, strict=True)
        return max(_rounded(int(total), int(shift)) for total, shift in pairs)

    def bounds(self) -> Mapping[str, int]:
        sums = self._sums()
        left = np.maximum(-self.current_shift, 0).astype(object)
        decayed, driven, right = self.potential_shifts
        drive = self._drive_bound(self._current_bound())
        potential = int(self.alpha.max()) * self.potential.magnitude << decayed
        potential += int(self.rise.max()) * drive << driven
        if self.reset in SUBTRACTING and is_late(self.reset):
            potential += largest(self.threshold) << right
        return {
            "the current": int(max(sums * (1 << left))) + rounding_term(self.current_shift),
            "the drive": drive,
            "the potential": potential + rounding_term(right),
        }

    def _drive_bound(self, current: int) -> int:
        """Bound of what ``rise`` multiplies, from that of the current."""
        return current


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class LIF(Neurons):
    """Leaky integrate-and-fire neurons (Baronig et al. 2024, without adaptation); I as in `Neurons`.

        u^ = sat(rhu(alpha u' + rise I))      rise stands for 1 - alpha, or is 1; one exact sum, rounded once
        z  = [u^ > threshold]                 strict
        u  = u^ (1 - z)                       with ``reset`` "zero"; `Neurons` has the others

    With alpha = 1 they do not leak. Output: the spikes z (H,). State: u (H,).
    """

    equation = "u = sat(rhu(alpha u + rise I)), I = rhu(W x + V z + bias), z = [u > threshold], u = 0 where z"


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptiveLIF(Neurons):
    """Adaptive LIF neurons (Baronig et al. 2024, arXiv 2408.07517, eqs. 6 to 12); I as in `Neurons`.

        u^ = sat(rhu(alpha u' + rise (I - w')))         rise stands for 1 - alpha; I - w' at the finer one's bits
        z  = [u^ > threshold]                           strict
        u  = u^ (1 - z)
        w  = sat(rhu(beta w' + coupling u + jump z))    ``order`` "se": u and z of this step
        w  = sat(rhu(beta w' + coupling u' + jump z'))  ``order`` "ef": of the step before

    coupling stands for (1 - beta) q a, jump for (1 - beta) q b. Output: the spikes z (H,). State: u, then w (2 H,).

    Shapes: ``beta``, ``coupling``, ``jump`` (H,), with one ``<name>_frac`` each; ``adaptation`` is the format of w.
    """

    equation = (
        "u = sat(rhu(alpha u + rise (I - w))), z = [u > threshold], u = 0 where z, "
        "w = sat(rhu(beta w + coupling u + jump z))"
    )
    demands = (ADAPTATION,)

    order: str
    adaptation: Format
    beta: np.ndarray
    beta_frac: int
    coupling: np.ndarray
    coupling_frac: int
    jump: np.ndarray
    jump_frac: int

    @property
    def constants(self) -> tuple[str, ...]:
        return ("alpha", "rise", "beta", "coupling", "jump")

    @property
    def kind(self) -> str:
        return self.order

    @property
    def second(self) -> Format:
        return self.adaptation

    @property
    def drive_frac(self) -> int:
        return max(self.potential.frac, self.adaptation.frac)

    @property
    def drive_shifts(self) -> tuple[int, int]:
        """Left shifts of I and of w to their difference."""
        return self.drive_frac - self.potential.frac, self.drive_frac - self.adaptation.frac

    @property
    def adaptation_shifts(self) -> tuple[int, int, int, int]:
        """Left shifts of ``beta w``, ``coupling u`` and ``jump z`` to their sum; right shift from there to w."""
        kept, coupled = self.beta_frac + self.adaptation.frac, self.coupling_frac + self.potential.frac
        top = max(kept, coupled, self.jump_frac)
        return top - kept, top - coupled, top - self.jump_frac, top - self.adaptation.frac

    @property
    def remembers_spikes(self) -> bool:
        return self.is_recurrent or self.order == "ef"

    @property
    def detail(self) -> str:
        u, weights = super().detail.split(", ", 1)
        return f"{self.order}, {u}, w {self.adaptation}, {weights}"

    def _shifts(self) -> dict[str, np.ndarray | tuple[int, ...]]:
        return {
            **super()._shifts(),
            "drive_shifts": self.drive_shifts,
            "adaptation_shifts": self.adaptation_shifts,
        }

    def states(self) -> tuple[State, ...]:
        u, *spikes = super().states()
        return (u, decaying("w", self.adaptation, self.beta, self.beta_frac), *spikes)

    def validate(self) -> None:
        super().validate()
        self.require(self.order in ORDERS, f"order {self.order!r} is unknown; use one of {', '.join(ORDERS)}")
        self.require(8 <= self.adaptation.width <= 32 and self.adaptation.signed, "w is signed, of 8 to 32 bits")
        check_decay(self, "alpha", "a membrane")
        check_decay(self, "beta", "an adaptation")
        for shift in (*self.drive_shifts, *self.adaptation_shifts):
            check_shift(self, "a shift", shift)
        unstable = self._unstable()
        self.require(
            not unstable,
            f"{len(unstable)} neurons are unstable, {unstable[:1]} first: rise coupling is above the limit of order "
            f"{self.order}; lower q or raise tau_w",
        )

    def _unstable(self) -> list[int]:
        """Neurons whose linear dynamics below the threshold grow, in exact integers.

        With k = rise coupling (Baronig et al. 2024): "se" k >= (1 + alpha) (1 + beta), "ef" k >= 1 - alpha beta.
        """
        names = ("alpha", "rise", "beta", "coupling")
        alpha, rise, beta, coupling = (getattr(self, name).astype(object) for name in names)
        fracs = {name: getattr(self, f"{name}_frac") for name in names}
        one_alpha, one_beta = 1 << fracs["alpha"], 1 << fracs["beta"]
        decay = one_alpha * one_beta  # the unit of alpha beta
        limit = (one_alpha + alpha) * (one_beta + beta) if self.order == "se" else decay - alpha * beta
        shift = fracs["rise"] + fracs["coupling"]
        feedback = rise * coupling * decay * (1 << max(-shift, 0))
        return [int(i) for i in np.nonzero(feedback >= limit * (1 << max(shift, 0)))[0]]

    def bounds(self) -> Mapping[str, int]:
        kept, coupled, jumped, right = self.adaptation_shifts
        adaptation = int(self.beta.max()) * self.adaptation.magnitude << kept
        adaptation += int(self.coupling.max()) * self.potential.magnitude << coupled
        adaptation += int(self.jump.max()) << jumped
        return {**super().bounds(), "the adaptation": adaptation + rounding_term(right)}

    def _drive_bound(self, current: int) -> int:
        own, adapted = self.drive_shifts
        return (current << own) + (self.adaptation.magnitude << adapted)


def _rounded(bound: int, shift: int) -> int:
    """Bound of the rounded shift of a value with this bound."""
    return (bound + (1 << shift >> 1)) >> shift if shift > 0 else bound << -shift
