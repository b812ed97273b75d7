"""What layers of neurons of any arithmetic share: their shape."""

from __future__ import annotations

import numpy as np

from ..formats import Format
from .base import Node


class NeuronLayer(Node):
    """H neurons driven by inputs x (F,) and, if recurrent, by their own spikes of the step before."""

    format: Format
    recurrent: np.ndarray

    keeps_state = True

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
