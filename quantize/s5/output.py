"""What a layer of S5 computes behind its state space: an activation and a gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import gelu, linear, relu

from ...models.real_s5.layer import RealS5Layer
from ...models.s5.layer import SequenceLayer
from ...program.formats import Format
from ...program.nodes import Linear, Lookup, Node
from ..codes import Floats, Fracs
from ..config import Widths
from ..exponents import useful_frac
from ..frozen import NodeTable, bias_of, values_of, weight_of
from ..nodes import Operand, gate_nodes, linear_node, lookup_node
from ..operations import NO_DROPOUT, Dropout, lookup, table_values
from ..output import Name, Output, OutputFormats, QuantizedOutput
from ..quantizers import Quantizers
from ..tables import SIGMOID
from ..tracing import Recorder

GatedLayer = SequenceLayer | RealS5Layer


class Activation(NamedTuple):
    """What a layer applies before its gate.

    Attributes:
        node: the name of its node.
        function: of a tensor; of its table, the one of the same name in `tables.FUNCTIONS`.
    """

    node: str
    function: Callable[[Tensor], Tensor]


ACTIVATIONS = {
    "gelu": Activation("gelu", partial(gelu, approximate="tanh")),
    "gelu_erf": Activation("gelu", gelu),
    "relu": Activation("relu", relu),
}


@dataclass(frozen=True)
class GatedFormats(OutputFormats):
    """Formats of y = C x + D u, of its activation, and of the gate."""

    y: Format
    activated: Format
    gate: Format

    @property
    def sums(self) -> Format:
        """See `OutputFormats.sums`."""
        return self.y

    @property
    def mixes(self) -> Format:
        """See `OutputFormats.mixes`."""
        return self.activated

    def finest(self, rows: int) -> int:
        """See `OutputFormats.finest`."""
        return useful_frac(self.activated, self.gate)


@dataclass(frozen=True, eq=False)
class GatedOutput(QuantizedOutput):
    """y = C x + D u, or the norm of that, times sigmoid(gate(activation(y))).

    Attributes:
        formats: of its edges.
        activation: a name in `ACTIVATIONS`.
        gate, gate_bias: (O, O), (O,).
        table, sigmoid: over the codes of y and of the gate.
        dropout: while training.
        quantizers: of edges, in place of plain rounding and saturation.
    """

    sums: ClassVar[str] = "y"
    formats: GatedFormats
    activation: str
    gate: Tensor
    gate_bias: Tensor
    table: Tensor
    sigmoid: Tensor
    dropout: Dropout = NO_DROPOUT
    quantizers: Quantizers | None = None

    def run(self, sums: Tensor, name: Name, training: bool, record: Recorder) -> Tensor:
        """See `QuantizedOutput.run`."""
        formats, activation = self.formats, ACTIVATIONS[self.activation]
        activated = lookup(sums, activation.function, self.table, formats.y)
        record(name(activation.node), activated, formats.activated)
        mixed = linear(self.dropout(activated, training), self.gate, self.gate_bias)
        return self.gated(sums, mixed, name, record)


class Gated(Output[GatedLayer]):
    """See `Output`.

    Args:
        activation: a name in `ACTIVATIONS`.
        shared: whether dropout has one mask for all times.
    """

    sums = "y"

    def __init__(self, activation: str = "gelu", shared: bool = True) -> None:
        self.activation, self.shared = activation, shared
        self._node = ACTIVATIONS[activation].node
        self.shown = ("y", self._node, "gate")
        self.edges = dict.fromkeys(self.shown, "activation")

    def formats(self, edges: Mapping[str, Format]) -> GatedFormats:
        """See `Output.formats`."""
        return GatedFormats(edges["y"], edges[self._node], edges["gate"])

    def values(self, layer: GatedLayer, sums: Tensor) -> Iterator[tuple[str, Tensor]]:
        """See `Output.values`."""
        yield "y", sums
        activated = ACTIVATIONS[self.activation].function(sums)
        yield self._node, activated
        gate = layer.gate(activated)
        yield "gate", gate
        sigmoid = torch.sigmoid(gate)
        yield "sigmoid", sigmoid
        yield "gated", sums * sigmoid

    def quantized(
        self,
        formats: GatedFormats,
        weights: tuple[Tensor, Tensor],
        quantizers: Quantizers,
        widths: Widths,
        dropout: float,
    ) -> GatedOutput:
        """See `Output.quantized`."""
        device = weights[0].device
        return GatedOutput(
            formats=formats,
            activation=self.activation,
            gate=weights[0],
            gate_bias=weights[1],
            table=table_values(self.activation, formats.y, formats.activated, device),
            sigmoid=table_values("sigmoid", formats.gate, SIGMOID, device),
            dropout=Dropout(dropout, self.shared),
            quantizers=quantizers,
        )

    def nodes(
        self,
        name: Name,
        source: str,
        weights: tuple[Floats, Floats],
        fracs: Fracs,
        formats: GatedFormats,
        widths: Widths,
    ) -> Iterator[Node]:
        """See `Output.nodes`."""
        weight, bias = weights
        activated = name(self._node)
        yield lookup_node(activated, source, self.activation, formats.y, formats.activated, len(bias))
        operand = Operand(activated, formats.activated, weight, widths.gate, fracs)
        yield linear_node(name("gate"), [operand], bias, formats.gate)
        yield from gate_nodes(name, formats.y, formats.gate, len(bias))


def frozen_gated(table: NodeTable, path: str, device: torch.device) -> GatedOutput:
    """From the nodes of the layer at ``path``."""
    gate, sigmoid = table.get(Linear, f"{path}/gate"), table.get(Lookup, f"{path}/sigmoid")
    names = dict.fromkeys(activation.node for activation in ACTIVATIONS.values())
    found = [node for name in names if (node := table.find(Lookup, f"{path}/{name}")) is not None]
    activated = found[0] if found else table.get(Lookup, f"{path}/gelu")
    return GatedOutput(
        formats=GatedFormats(activated.format, activated.output, gate.output),
        activation=activated.function,
        gate=weight_of(gate, 0, device),
        gate_bias=bias_of(gate, device),
        table=values_of(activated.table, activated.output.frac, device),
        sigmoid=values_of(sigmoid.table, sigmoid.output.frac, device),
    )
