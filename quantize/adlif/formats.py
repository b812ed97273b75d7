"""The formats of a QAT model's edges and the exponents of its weights and constants."""

from __future__ import annotations

from dataclasses import dataclass

from ...program.formats import Format
from ..codes import Fracs


@dataclass(frozen=True)
class CellFormats:
    """Edges and states of one layer of neurons.

    Attributes:
        input: what the layer reads: the network's input, or spikes.
        potential: u.
        adaptation: w, or the synaptic current of current-based neurons; None for LIF neurons.
    """

    input: Format
    potential: Format
    adaptation: Format | None


@dataclass(frozen=True)
class NetworkFormats:
    """Edges of a network.

    Attributes:
        input: the quantized input.
        cells: by layer.
        readout: the potentials of the leaky integrators.
    """

    input: Format
    cells: tuple[CellFormats, ...]
    readout: Format


@dataclass(frozen=True, eq=False)
class CellFracs:
    """Exponents of one layer: W and V by row (H,); one for all neurons of each constant, by its name in the node."""

    input: Fracs
    recurrent: Fracs
    constants: dict[str, int]


@dataclass(frozen=True, eq=False)
class ReadoutFracs:
    """Exponents of the read-out: W_o by row (C,), and one for all decays."""

    weight: Fracs
    decay: int
