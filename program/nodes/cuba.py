"""Current-based neurons: a synaptic current of their own between what arrives and the potential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..bounds import rounding_term
from ..formats import Format
from .base import check_decay, check_shift, register_node
from .facts import State, decaying
from .features import CUBA
from .neurons import Neurons


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class CubaLIF(Neurons):
    """Current-based leaky integrate-and-fire neurons (NIR's CubaLIF, a step at a time); I and resets as in `Neurons`.

        i  = sat(rhu(beta i' + I))            the synaptic current, one exact sum, rounded once
        u^ = sat(rhu(alpha u' + rise i))      of this step
        z  = [u^ > threshold]                 strict
        u  = u^ (1 - z)                       with ``reset`` "zero"

    A spike leaves i as it is. Output: the spikes z (H,). State: u, then i (2 H,).

    Shapes: ``beta`` (H,) at ``beta_frac``; ``synapse`` is the format of i.
    """

    equation = "i = sat(rhu(beta i + I)), u = sat(rhu(alpha u + rise i)), z = [u > threshold], u = 0 where z"
    demands = (CUBA,)

    synapse: Format
    beta: np.ndarray
    beta_frac: int

    @property
    def constants(self) -> tuple[str, ...]:
        return ("alpha", "rise", "beta")

    @property
    def kind(self) -> str:
        return "cuba"

    @property
    def second(self) -> Format:
        return self.synapse

    @property
    def drive_frac(self) -> int:
        return self.synapse.frac

    @property
    def synapse_shifts(self) -> tuple[int, int, int]:
        """Left shifts of ``beta i`` and of I to their sum; right shift from there to i."""
        kept, arriving = self.beta_frac + self.synapse.frac, self.potential.frac
        top = max(kept, arriving)
        return top - kept, top - arriving, top - self.synapse.frac

    @property
    def detail(self) -> str:
        u, weights = super().detail.split(", ", 1)
        return f"{u}, i {self.synapse}, {weights}"

    def _shifts(self) -> dict[str, np.ndarray | tuple[int, ...]]:
        return {**super()._shifts(), "synapse_shifts": self.synapse_shifts}

    def states(self) -> tuple[State, ...]:
        u, *spikes = super().states()
        return (u, decaying("i", self.synapse, self.beta, self.beta_frac), *spikes)

    def validate(self) -> None:
        super().validate()
        self.require(8 <= self.synapse.width <= 32 and self.synapse.signed, "i is signed, of 8 to 32 bits")
        check_decay(self, "beta", "a current", most=1)
        for shift in self.synapse_shifts:
            check_shift(self, "a shift", shift)

    def bounds(self) -> Mapping[str, int]:
        bounds = super().bounds()
        kept, arriving, right = self.synapse_shifts
        synapse = (int(self.beta.max()) * self.synapse.magnitude << kept) + (self._current_bound() << arriving)
        return {**bounds, "the synapse": synapse + rounding_term(right)}

    def _drive_bound(self, current: int) -> int:
        return self.synapse.magnitude
