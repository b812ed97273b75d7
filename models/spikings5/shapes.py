"""The tensors of a layer's output, told before any is made."""

from __future__ import annotations

from collections.abc import Iterator

from ..initial import Shape, linear_shapes
from .config import SpikingS5Config


def spiking_output(name: str, width: int, config: SpikingS5Config) -> Iterator[Shape]:
    """What `SpikingEventLayer.make_output` adds to the layer ``name``."""
    yield f"{name}neuron.ln_vth", (width if config.threshold == "channel" else 1,)
    yield from linear_shapes(f"{name}output", width, 2 * width)
