"""What the families of networks of spiking neurons share, whatever their arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic

import numpy as np
import torch
from numpy.typing import NDArray

from ..models.adlif.build import build_adlif
from ..models.adlif.config import AdLIFConfig
from ..models.adlif.network import AdLIFNetwork
from ..models.adlif.shapes import adlif_shapes
from ..models.initial import Shape
from ..models.scan.neuron_step import remaining
from ..program import Program
from ..train.data.inputs import Inputs
from .family import QAT, Family, Frozen
from .nodes import DENSE
from .spiking import READOUT, cell_name, traces
from .tracing import STATE


class SpikingFamily(Family[AdLIFNetwork, QAT, Frozen], Generic[QAT, Frozen]):
    """A way to quantize networks of spiking neurons."""

    reads = "sequences"
    inputs = ("in_features",)
    recipe = "adlif-spoken-digits"
    model = AdLIFNetwork

    def shapes(self, settings: Mapping[str, Any], *, num_classes: int, **inputs: int) -> Iterator[Shape]:
        """See `FloatFamily.shapes`."""
        return adlif_shapes(AdLIFConfig.from_mapping(settings, num_classes=num_classes, **inputs))

    def build(self, settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **inputs: int) -> AdLIFNetwork:
        """See `Family.build`."""
        return build_adlif(settings, num_classes=num_classes, seed=seed, **inputs)

    def float_values(self, model: AdLIFNetwork, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """Of the input, of spikes, u and w of each layer, and of the potentials that the leaky integrators read out."""
        model = model.double().eval()
        x = inputs.values[:, : int(inputs.lengths[0])].double()
        found = {DENSE: x}
        with torch.no_grad():
            config = model.config
            for number, trace in enumerate(traces(model, x)):
                x, name = trace.z, cell_name(number)
                states = [remaining(trace.u_pre, x, config.resets[number], config.threshold)]
                states += [] if config.cell == "lif" else [trace.w]
                found |= {name: x, name + STATE: torch.cat(states, dim=2)}
            found[READOUT], _ = model.readout.sequence(x)
        return {name: tensor[0].numpy() for name, tensor in found.items()}
