"""The settings of an adaptive LIF network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ...errors import PumiceError
from ..scan.neuron_step import LATE_RESETS, MOST_REFRACTORY, RESETS
from ..settings import check_choices, check_flags, check_positive, known_settings
from .blocks import AGGREGATIONS
from .time_constant import Bounds

CELLS = ("lif", "cuba-lif", "ef-adlif", "se-adlif", "lstm")
RISES = ("leak", "one")


@dataclass(frozen=True, kw_only=True)
class AdLIFConfig:
    """Settings of `AdLIFNetwork` (Baronig et al. 2024, arXiv 2408.07517); time constants are in steps.

    Attributes:
        num_classes: outputs C: classes, or predicted values.
        in_features: width of the input.
        cell: "se-adlif", "ef-adlif", "lif", "cuba-lif" (a synaptic current before the potential), or "lstm" as a
            baseline.
        layers: recurrent layers.
        hidden: units of each, or one number a layer.
        recurrent: whether a layer's spikes reach its own neurons (V); of spiking cells alone.
        q: strength of the adaptation.
        reset: what a spike does to the potential: "zero" or "subtract" (the threshold) at once, "late-zero" or
            "late-subtract" at the next step; or one a layer. Of spiking cells alone.
        refractory: steps after a spike in which a neuron does not spike and its potential is held at what the spike
            left of it; 0 is none. Of spiking cells with resets at once alone.
        rise: what the current is multiplied by on its way to the potential, read-out included: "leak", 1 - alpha, or
            "one".
        tau_u: range of the membrane's time constants; None, with rise "one", is no upper limit: no leak.
        tau_w: range of the adaptation's.
        tau_i: range of the synaptic current's, of "cuba-lif" alone.
        tau_out: range of the read-out's; one value twice is not trained.
        threshold: of the membrane potential.
        surrogate_scale: c of the surrogate gradient.
        surrogate_slope: its steepness alpha.
        dropout: probability, on what a layer passes on to the next and to the read-out; a new mask each step.
        aggregation: from potentials to logits, "softmax" or "mean", see `blocks.aggregate`.

    Raises:
        PumiceError: a value outside its limits, which the message names.
    """

    num_classes: int
    in_features: int
    cell: str = "se-adlif"
    layers: int = 1
    hidden: int | tuple[int, ...] = 128
    recurrent: bool = True
    reset: str | tuple[str, ...] = "zero"
    refractory: int = 0
    rise: str = "leak"
    q: float = 120.0
    tau_u: Bounds = (5.0, 25.0)
    tau_w: Bounds = (60.0, 300.0)
    tau_i: Bounds = (2.0, 10.0)
    tau_out: Bounds = (15.0, 15.0)
    threshold: float = 1.0
    surrogate_scale: float = 0.4
    surrogate_slope: float = 5.0
    dropout: float = 0.0
    aggregation: str = "softmax"

    def __post_init__(self) -> None:
        check_positive(self, "num_classes", "in_features", "layers")
        check_flags(self, "recurrent")
        for name in ("hidden", "reset"):
            each = getattr(self, name)
            if isinstance(each, list | tuple):
                object.__setattr__(self, name, tuple(each))
                if len(each) != self.layers:
                    given = f"{name}={list(each)} has {len(each)} entries"
                    raise PumiceError(f"{given} for layers={self.layers}; give one a layer")
        for units in self.hidden if isinstance(self.hidden, tuple) else (self.hidden,):
            if isinstance(units, bool) or not isinstance(units, int) or units < 1:
                raise PumiceError(f"hidden={units} must be an integer of at least 1; change it")
        if self.cell == "lstm" and not self.recurrent:
            raise PumiceError("recurrent=false, but cell=lstm always is recurrent; choose a spiking cell")
        check_choices(self, {"cell": CELLS, "aggregation": AGGREGATIONS, "rise": RISES})
        for reset in {self.reset} if isinstance(self.reset, str) else {*self.reset}:
            if reset not in RESETS:
                raise PumiceError(f"reset={reset} is unknown; choose one of {', '.join(RESETS)}")
        if self.cell == "lstm" and self.reset != "zero":
            raise PumiceError(f"reset={self.reset}, but cell=lstm has no spikes that reset it; choose a spiking cell")
        self._check_refractory()
        for name in ("q", "threshold", "surrogate_scale", "surrogate_slope"):
            if not (_is_number(getattr(self, name)) and getattr(self, name) > 0):
                raise PumiceError(f"{name}={getattr(self, name)} must be a number above 0; change it")
        if not (_is_number(self.dropout) and 0 <= self.dropout < 1):
            raise PumiceError(f"dropout={self.dropout} lies outside [0, 1); choose a value inside")
        for name in ("tau_u", "tau_w", "tau_i", "tau_out"):
            bounds = getattr(self, name)
            if not (isinstance(bounds, list | tuple) and len(bounds) == 2 and all(map(_is_time, bounds))):
                raise PumiceError(
                    f"{name}={bounds} must be a range of two numbers such as [5, 25], or [5, null] for no upper limit; "
                    "change it"
                )
            endless = bounds[1] is None
            if endless and name in ("tau_u", "tau_out") and self.rise == "leak":
                raise PumiceError(f"{name}={bounds} has no leak, which nothing rises by; set rise=one, or give a limit")
            if endless and name in ("tau_u", "tau_w") and self.cell in ("ef-adlif", "se-adlif"):
                raise PumiceError(f"{name}={bounds} has no leak, which {self.cell} needs to be stable; give a limit")
            low, high = bounds
            rises = endless or (low is not None and low <= high)
            if not rises or (low is not None and low <= 0):
                raise PumiceError(f"{name}={bounds} must rise and lie above 0; change it")
            object.__setattr__(self, name, tuple(None if bound is None else float(bound) for bound in bounds))

    def _check_refractory(self) -> None:
        steps = self.refractory
        if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= MOST_REFRACTORY:
            raise PumiceError(f"refractory={steps} must be a number of steps, 0 to {MOST_REFRACTORY}; change it")
        if steps and self.cell == "lstm":
            raise PumiceError(f"refractory={steps}, but cell=lstm has no spikes that it follows; choose a spiking cell")
        resets = [self.reset] if isinstance(self.reset, str) else self.reset
        late = next((reset for reset in resets if reset in LATE_RESETS), None)
        if steps and late:
            raise PumiceError(
                f"reset={late} acts in the first of refractory={steps} steps, where nothing changes; set "
                f"reset={LATE_RESETS[late]}"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each layer."""
        return self.hidden if isinstance(self.hidden, tuple) else (self.hidden,) * self.layers

    @property
    def resets(self) -> tuple[str, ...]:
        """The reset of each layer."""
        return (self.reset,) * self.layers if isinstance(self.reset, str) else self.reset

    def width(self, layer: int) -> int:
        """Units of one layer; -1 is the last. Unlike `widths`, it takes no memory for layers that nobody has made."""
        return self.hidden[layer] if isinstance(self.hidden, tuple) else self.hidden

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], **more: Any) -> AdLIFConfig:
        """Build the settings from plain data, ``more`` taking precedence.

        The keys ``family`` and ``name`` of a configuration file say which model it is and are passed over.

        Raises:
            PumiceError: an unknown key, or a value outside its limits.
        """
        return cls(**known_settings(cls, {**settings, **more}, "adLIF"))


def _is_time(value: Any) -> bool:
    return value is None or (_is_number(value) and isfinite(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
