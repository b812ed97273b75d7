"""Single widths of a model: what each is of, where the model has it, and the settings that change it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .config import LIMITS, QuantizationConfig, Widths
from .qat_model import QATModel

WEIGHTS, CONSTANTS, ACTIVATIONS, STATES = KINDS = ("weights", "constants", "activations", "states")
"""What a width may be of."""

KIND_OF = {
    "embedding": WEIGHTS,
    "input": WEIGHTS,
    "output": WEIGHTS,
    "feedthrough": WEIGHTS,
    "gate": WEIGHTS,
    "skip": WEIGHTS,
    "decoder": WEIGHTS,
    "synapses": WEIGHTS,
    "norm": CONSTANTS,
    "decay": CONSTANTS,
    "constant": CONSTANTS,
    "activation": ACTIVATIONS,
    "dense_input": ACTIVATIONS,
    "read": ACTIVATIONS,
    "residual": ACTIVATIONS,
    "state": STATES,
    "potential": STATES,
    "adaptation": STATES,
}
"""Of every width of the settings. Potentials of leaky integrators are ``residual``."""


@dataclass(frozen=True, order=True)
class Place:
    """One width of a model.

    Attributes:
        layer: the path of its layer; empty for what belongs to none, as a decoder.
        width: the width's name in the settings.
    """

    layer: str
    width: str

    @property
    def name(self) -> str:
        """``stages.0.layers.1.gate``, ``decoder``."""
        return f"{self.layer}.{self.width}" if self.layer else self.width

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return KIND_OF[self.width]

    @classmethod
    def named(cls, name: str) -> Place:
        """The place of this `name`."""
        layer, _, width = name.rpartition(".")
        return cls(layer, width)

    def bits(self, config: QuantizationConfig) -> int:
        """The width that the settings give it."""
        return int(getattr(self._widths(config), self.width))

    def changes(self, bits: int, config: QuantizationConfig) -> dict[str, Any]:
        """The settings that give it ``bits``, to be laid over those of ``config``.

        What is read of a state becomes no wider than the state.
        """
        named = {self.width: bits}
        if self.width == "state":
            named["read"] = min(bits, self._widths(config).read)
        return {"layers": {self.layer: named}} if self.layer else {"widths": named}

    def _widths(self, config: QuantizationConfig) -> Widths:
        return config.layer(self.layer) if self.layer else config.widths


def places_of(qat: QATModel[Any, Any, Any]) -> list[Place]:
    """The widths of a model that can be changed each alone: of single layers, then of what belongs to none.

    Some may be of tensors that this model does not have: its program is then the same with any width.
    """
    layers = [Place(layer, width) for layer, widths in qat.layer_widths.items() for width in widths]
    known = {place.width for place in layers}
    return [*layers, *(Place("", width) for width in LIMITS if width not in known)]


def lowered(
    places: Sequence[Place], to: Mapping[str, Sequence[int]], config: QuantizationConfig
) -> list[tuple[Place, int]]:
    """Each place with every one of the widths of its kind that is below its own and that the settings allow.

    Args:
        places: of the model.
        to: widths in bits, by `KINDS`.
        config: what the places have now.
    """
    return [
        (place, bits)
        for place in places
        for bits in sorted(set(to.get(place.kind, ())), reverse=True)
        if LIMITS[place.width][0] <= bits < place.bits(config)
    ]
