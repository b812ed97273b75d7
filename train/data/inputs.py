"""What a model reads, whatever kind of task it comes from: padded batches, and how they are timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ...errors import PumiceError


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How the input of a model is timed.

    Attributes:
        tick_ms: the tick that event times were rounded to in training; None for exact times and for regular steps.
        step_us: microseconds of a regular step; None for events, and where a task gives its steps no length.
        pairing: which gap a state decays by at an event, "causal" (the one before it) or "next" (the one behind it).
    """

    tick_ms: float | None = None
    pairing: str = "causal"
    step_us: int | None = None


class Inputs(NamedTuple):
    """A padded batch of B samples of at most L events or time steps.

    values: tokens, int64 (B, L), anything after the last event; or dense input, float (B, L, F), 0 after the last.
    dt: (B, L) ms, the interval by which states decay before each event, 0 in the padding; None for regular time steps.
    lengths: int64 (B,), events or steps of each sample.
    pool_dt: (B, L) ms, exact intervals, the weights of timepool; ``dt`` if None.
    """

    values: Tensor
    dt: Tensor | None
    lengths: Tensor
    pool_dt: Tensor | None = None

    def first(self, samples: int) -> Inputs:
        """The first so many samples."""
        dt, pool_dt = (None if part is None else part[:samples] for part in (self.dt, self.pool_dt))
        return Inputs(self.values[:samples], dt, self.lengths[:samples], pool_dt)

    def events(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``values, dt, lengths, pool_dt`` of events.

        Raises:
            PumiceError: there are no intervals.
        """
        if self.dt is None:
            raise PumiceError("this model reads events, but the batch has no intervals between them; give it dt")
        return self.values, self.dt, self.lengths, self.dt if self.pool_dt is None else self.pool_dt
