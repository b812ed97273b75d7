"""Which models have a layout: their settings, their tensors, and the graph of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from ....errors import PumiceError
from ....models.adlif.config import AdLIFConfig
from ....models.adlif.network import AdLIFNetwork
from ....models.adlif.shapes import adlif_shapes
from ....models.initial import Shape
from ....models.real_s5.classifier import RealS5Classifier
from ....models.real_s5.config import RealS5Config
from ....models.real_s5.shapes import real_s5_shapes
from ....models.s5.classifier import S5Classifier
from ....models.s5.config import S5Config
from ....models.s5.shapes import gated_output, s5_shapes
from ....models.spikings5.config import SpikingS5Config
from ....models.spikings5.network import SpikingS5
from ....models.spikings5.shapes import spiking_output
from ....models.spikingssm.config import SpikingSSMConfig
from ....models.spikingssm.network import SpikingSSM
from ....models.spikingssm.shapes import spikingssm_shapes
from .events import real_s5_layout, s5_layout
from .layout import Layout
from .sequences import adlif_layout, spikingssm_layout


@dataclass(frozen=True)
class OwnFamily:
    """A family of float models.

    Attributes:
        name: as in ``model.family``.
        model: the float models.
        config: their settings, with ``from_mapping``.
        shapes: names and shapes of the state dict, from settings.
        layout: the graph, from settings and the sorted names of the state dict.
    """

    name: str
    model: type[nn.Module]
    config: Any
    shapes: Callable[[Any], Iterator[Shape]]
    layout: Callable[[Any, Sequence[str]], Layout]


FAMILIES: Mapping[str, OwnFamily] = {
    family.name: family
    for family in (
        OwnFamily("s5", S5Classifier, S5Config, partial(s5_shapes, output=gated_output), s5_layout),
        OwnFamily("spikings5", SpikingS5, SpikingS5Config, partial(s5_shapes, output=spiking_output), s5_layout),
        OwnFamily("real-s5", RealS5Classifier, RealS5Config, real_s5_shapes, real_s5_layout),
        OwnFamily("spikingssm", SpikingSSM, SpikingSSMConfig, spikingssm_shapes, spikingssm_layout),
        OwnFamily("adlif", AdLIFNetwork, AdLIFConfig, adlif_shapes, adlif_layout),
    )
}


def family_of(model: nn.Module) -> OwnFamily:
    """The family of a model.

    Raises:
        PumiceError: it has none.
    """
    found = [family for family in FAMILIES.values() if type(model) is family.model]
    if not found:
        raise PumiceError(f"a {type(model).__name__} has no form in NIR; export it with target=onnx or c")
    return found[0]
