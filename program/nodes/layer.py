"""What layers of neurons of any arithmetic share: their shape."""

from __future__ import annotations

import numpy as np

from ..formats import Format
from .base import Node
from .facts import HIDDEN, State, whole_codes
from .features import RECURRENT

SPIKES = Format(width=1, signed=False, frac=0)
"""Of every edge of spikes: one bit."""


class NeuronLayer(Node):
    """H neurons driven by inputs x (F,) and, if recurrent, by their own spikes of the step before."""

    keeps_state = True

    format: Format
    recurrent: np.ndarray

    @property
    def feed(self) -> np.ndarray:
        """Codes of W, (H, F)."""
        raise NotImplementedError

    @property
    def neurons(self) -> int:
        """The number of neurons H."""
        return self.feed.shape[0]

    @property
    def channels(self) -> int:
        return self.neurons

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.format,)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.feed.shape[1],)

    @property
    def is_recurrent(self) -> bool:
        """Whether the neurons see their own spikes."""
        return self.recurrent.shape[1] > 0

    @property
    def features(self) -> tuple[str, ...]:
        return (*self.demands, RECURRENT) if self.is_recurrent else self.demands

    def synapses(self) -> dict[str, np.ndarray]:
        return {"W": self.feed, **({"V": self.recurrent} if self.is_recurrent else {})}

    @property
    def remembers_spikes(self) -> bool:
        """Whether a step needs the spikes of the step before."""
        return self.is_recurrent

    def _spikes(self) -> tuple[State, ...]:
        """The spikes of the step before, where they are needed; the trace has them as the output."""
        return (State("z", SPIKES.width, whole_codes(self.neurons), HIDDEN),) if self.remembers_spikes else ()
