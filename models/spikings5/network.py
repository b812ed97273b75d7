"""The spiking S5 classifier."""

from __future__ import annotations

from torch import Generator, Tensor, nn
from torch.nn.functional import glu

from ..s5.classifier import EventClassifier
from ..s5.config import S5Config
from ..s5.init import linear
from ..s5.layer import EventLayer
from ..spikes import SpikeTap
from ..spikingssm.neuron import SpikingNeuron
from .config import SpikingS5Config


class SpikingEventLayer(EventLayer):
    """A layer of S5 whose state space ends in spiking neurons (as Shen et al. 2024 do with S4D).

        z = neuron(y / v);  f(y) = dropout(glu(output(dropout(z))))

    A neuron makes one step for each output of the state space, that is for each window of events.
    """

    carries = True
    neuron: SpikingNeuron
    output: nn.Linear

    def make_output(self, width: int, config: S5Config, generator: Generator | None) -> None:
        """See `EventLayer.make_output`."""
        assert isinstance(config, SpikingS5Config)
        self.neuron = SpikingNeuron.of(config, width)
        self.output = linear(width, 2 * width, generator)
        self.tap = SpikeTap()

    @property
    def mixing(self) -> nn.Linear:
        """See `EventLayer.mixing`."""
        return self.output

    def scale(self) -> Tensor:
        """See `EventLayer.scale`: 1 / threshold."""
        return self.neuron.scale()

    def combine(self, pooled_x: Tensor, y: Tensor) -> Tensor:
        """See `EventLayer.combine`."""
        return self._read(pooled_x, self.tap(self.spikes(y)))

    def combine_step(self, pooled_x: Tensor, y: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """See `EventLayer.combine_step`; what is carried are the neurons' potentials."""
        spikes, carried = self.neuron.step(y * self.scale(), carried)
        return self._read(pooled_x, spikes), carried

    def spikes(self, y: Tensor) -> Tensor:
        """Spikes (B, n, H) of the state space's output y (B, n, H)."""
        return self.fire(y * self.scale())

    def fire(self, current: Tensor) -> Tensor:
        """Spikes (B, n, H) of scaled currents (B, n, H)."""
        return self.neuron(current.mT.contiguous()).mT

    def _read(self, pooled_x: Tensor, spikes: Tensor) -> Tensor:
        return self.added(pooled_x, self.drop(glu(self.output(self.drop(spikes)), dim=-1)))


class SpikingS5(EventClassifier[SpikingEventLayer]):
    """The classifier of spiking S5 layers; each has ``neuron`` and ``output`` besides."""

    kind = SpikingEventLayer
    config: SpikingS5Config

    def __init__(self, config: SpikingS5Config, generator: Generator | None = None, *, initial: bool = True) -> None:
        """See `EventClassifier`."""
        super().__init__(config, generator, initial=initial)
        for number, stage in enumerate(self.stages, 1):
            for layer in stage.layers:
                layer.tap.every = config.stride**number
