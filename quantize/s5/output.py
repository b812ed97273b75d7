"""What a layer of S5 computes behind its state space: GELU and a gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import gelu, linear

from ...models.s5.layer import SequenceLayer
from ...program.formats import Format
from ...program.nodes import Linear, Lookup, Node
from ..codes import Floats, Fracs
from ..config import Widths
from ..exponents import useful_frac
from ..frozen import NodeTable, bias_of, values_of, weight_of
from ..nodes import Operand, gated_node, linear_node, lookup_node, product_format
from ..operations import lookup, shared_dropout, table_values
from ..output import Name, Output, OutputFormats, QuantizedOutput
from ..quantizers import Quantizers, store
from ..tables import SIGMOID
from ..tracing import Recorder


@dataclass(frozen=True)
class GatedFormats(OutputFormats):
    """Formats of y = C x + D u, of its GELU, and of the gate."""

    y: Format
    gelu: Format
    gate: Format

    @property
    def sums(self) -> Format:
        """See `OutputFormats.sums`."""
        return self.y

    @property
    def mixes(self) -> Format:
        """See `OutputFormats.mixes`."""
        return self.gelu

    @property
    def gated(self) -> Format:
        """The exact product of y and the gate's sigmoid."""
        return product_format(self.y, SIGMOID)

    def finest(self, rows: int) -> int:
        """See `OutputFormats.finest`."""
        return useful_frac(self.gelu, self.gate)


@dataclass(frozen=True, eq=False)
class GatedOutput(QuantizedOutput):
    """y = C x + D u times sigmoid(gate(gelu(y))).

    Attributes:
        formats: of its edges.
        gate, gate_bias: (O, O), (O,).
        gelu, sigmoid: tables over the codes of y and of the gate.
        dropout: probability while training.
        quantizers: of edges, in place of plain rounding and saturation.
    """

    sums: ClassVar[str] = "y"
    formats: GatedFormats
    gate: Tensor
    gate_bias: Tensor
    gelu: Tensor
    sigmoid: Tensor
    dropout: float = 0.0
    quantizers: Quantizers | None = None

    def run(self, sums: Tensor, name: Name, training: bool, record: Recorder) -> Tensor:
        """See `QuantizedOutput.run`."""
        formats = self.formats
        activated = lookup(sums, gelu(sums, approximate="tanh"), self.gelu, formats.y)
        record(name("gelu"), activated, formats.gelu)
        mixed = linear(shared_dropout(activated, self.dropout, training), self.gate, self.gate_bias)
        gate = store(self.quantizers, "gate", mixed, formats.gate)
        record(name("gate"), gate, formats.gate)
        sigmoid = lookup(gate, torch.sigmoid(gate), self.sigmoid, formats.gate)
        record(name("sigmoid"), sigmoid, SIGMOID)
        gated = sums * sigmoid
        record(name("gated"), gated, formats.gated)
        return gated


class Gated(Output[SequenceLayer]):
    """See `Output`."""

    sums = "y"
    edges: ClassVar[Mapping[str, str]] = {"y": "activation", "gelu": "activation", "gate": "activation"}
    shown = ("y", "gelu", "gate")

    def formats(self, edges: Mapping[str, Format]) -> GatedFormats:
        """See `Output.formats`."""
        return GatedFormats(edges["y"], edges["gelu"], edges["gate"])

    def values(self, layer: SequenceLayer, sums: Tensor) -> Iterator[tuple[str, Tensor]]:
        """See `Output.values`."""
        yield "y", sums
        activated = gelu(sums, approximate="tanh")
        yield "gelu", activated
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
            gate=weights[0],
            gate_bias=weights[1],
            gelu=table_values("gelu", formats.y, formats.gelu, device),
            sigmoid=table_values("sigmoid", formats.gate, SIGMOID, device),
            dropout=dropout,
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
        yield lookup_node(name("gelu"), source, "gelu", formats.y, formats.gelu, len(bias))
        operand = Operand(name("gelu"), formats.gelu, weight, widths.gate, fracs)
        yield linear_node(name("gate"), [operand], bias, formats.gate)
        yield lookup_node(name("sigmoid"), name("gate"), "sigmoid", formats.gate, SIGMOID, len(bias))
        yield gated_node(name, formats.y, len(bias))


def frozen_gated(table: NodeTable, path: str, device: torch.device) -> GatedOutput:
    """From the nodes of the layer at ``path``."""
    y, gate = table.get(Linear, f"{path}/y"), table.get(Linear, f"{path}/gate")
    gelu_, sigmoid = table.get(Lookup, f"{path}/gelu"), table.get(Lookup, f"{path}/sigmoid")
    return GatedOutput(
        formats=GatedFormats(y.output, gelu_.output, gate.output),
        gate=weight_of(gate, 0, device),
        gate_bias=bias_of(gate, device),
        gelu=values_of(gelu_.table, gelu_.output.frac, device),
        sigmoid=values_of(sigmoid.table, sigmoid.output.frac, device),
    )
