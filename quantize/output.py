"""What a layer of a state-space model computes behind its state space: C x + D u and what becomes of it.

Families of one state space differ in this alone; their layers ask it here for formats, values and nodes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..program.formats import Format
from ..program.nodes import Node
from .codes import Floats, Fracs
from .config import Widths
from .nodes import product_format
from .operations import lookup
from .quantizers import Quantizers, store
from .tables import SIGMOID
from .tracing import Recorder

Name = Callable[[str], str]
"""The program's name of a node of the layer, from its own."""


class OutputFormats(ABC):
    """Formats of the edges behind a state space.

    Attributes:
        y: what is gated.
        gate: whose sigmoid gates it.
    """

    y: Format
    gate: Format

    @property
    @abstractmethod
    def sums(self) -> Format:
        """What C x + D u is stored in."""

    @property
    @abstractmethod
    def mixes(self) -> Format:
        """What the gate's linear layer reads."""

    @property
    def gated(self) -> Format:
        """What is added to the residual stream: the exact product of y and the gate's sigmoid."""
        return product_format(self.y, SIGMOID)

    @abstractmethod
    def finest(self, rows: int) -> Fracs | int:
        """The most fractional bits that are of use in the gate's linear layer of so many rows."""


class QuantizedOutput(ABC):
    """Quantized weights behind a state space, as values.

    Attributes:
        sums: the edge of C x + D u.
        formats: of its edges.
        sigmoid: table over the codes of the gate.
        quantizers: of edges, in place of plain rounding and saturation.
    """

    sums: ClassVar[str]
    formats: OutputFormats
    sigmoid: Tensor
    quantizers: Quantizers | None

    @abstractmethod
    def run(self, sums: Tensor, name: Name, training: bool, record: Recorder) -> Tensor:
        """What is added to the residual stream, (B, n, O), of C x + D u (B, n, O) as it is stored."""

    def gated(self, y: Tensor, gate: Tensor, name: Name, record: Recorder) -> Tensor:
        """The exact product of y and sigmoid(gate), all (B, n, O); the gate is stored here, y already is."""
        formats = self.formats
        gate = store(self.quantizers, "gate", gate, formats.gate)
        record(name("gate"), gate, formats.gate)
        sigmoid = lookup(gate, torch.sigmoid, self.sigmoid, formats.gate)
        record(name("sigmoid"), sigmoid, SIGMOID)
        gated = y * sigmoid
        record(name("gated"), gated, formats.gated)
        return gated


Layer = TypeVar("Layer", bound=nn.Module, contravariant=True)


class Output(ABC, Generic[Layer]):
    """How a family's layers continue behind their state space.

    Attributes:
        sums: the edge of C x + D u.
        edges: names of the edges that calibration finds exponents for, with that of their width.
        shown: names of the nodes whose float values `values` tells.
        wide: those of the edges that keep headroom above the largest value seen.
        constants: names of the widths that are none of edges.
    """

    sums: ClassVar[str]
    edges: Mapping[str, str]
    shown: tuple[str, ...]
    wide: ClassVar[tuple[str, ...]] = ()
    constants: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def formats(self, edges: Mapping[str, Format]) -> OutputFormats:
        """From the formats of its edges, by name."""

    @abstractmethod
    def values(self, layer: Layer, sums: Tensor) -> Iterator[tuple[str, Tensor]]:
        """What the float layer holds, by the names of its nodes, of C x + D u (B, n, O); last what is added."""

    @abstractmethod
    def quantized(
        self,
        formats: Any,
        weights: tuple[Tensor, Tensor],
        quantizers: Quantizers,
        widths: Widths,
        dropout: float,
    ) -> QuantizedOutput:
        """From the formats and the gate's fake-quantized weight and bias."""

    @abstractmethod
    def nodes(
        self, name: Name, source: str, weights: tuple[Floats, Floats], fracs: Fracs, formats: Any, widths: Widths
    ) -> Iterator[Node]:
        """The nodes behind ``source``, C x + D u, from the gate's weight and bias; the last gives what is added."""

    def reach(self, x: Tensor) -> Tensor:
        """What one of the ``wide`` edges has to hold besides, where values x are seen at it; any shape."""
        return x

    def settle(self, edges: Quantizers) -> None:
        """Bound the exponents that calibration found."""
