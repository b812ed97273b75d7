"""What a layer of a spiking model computes behind its state space: neurons, and a gated linear layer (GLU) that alone
sees their spikes. The threshold is folded into C and D, so it is 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Generic

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from ..program.formats import Format
from ..program.nodes import SPIKES, DrivenLIF, Linear, Lookup, Node
from .codes import Floats, Fracs, largest_frac, rounded
from .config import Widths
from .exponents import useful_frac
from .frozen import NodeTable, bias_of, values_of, weight_of
from .nodes import Operand, gate_nodes, linear_node
from .operations import shared_dropout, table_values
from .output import Layer, Name, Output, OutputFormats, QuantizedOutput
from .quantizers import Quantizers, store
from .scan import NeuronCodes, quantized_neuron_scan
from .tables import SIGMOID
from .tracing import Recorder

POTENTIAL_BITS = 7
"""Of a potential above one threshold. Single channels are driven by thousands of thresholds: a potential that clips at
128 of them fires as well, or is kept from it for as long but for a step or two."""


@dataclass(frozen=True, kw_only=True)
class SpikingFormats(OutputFormats):
    """Formats of the edges around neurons.

    Attributes:
        current: the neurons' input, at the fractional bits of their potential.
        potential: of the neurons.
        y, gate: the halves of the gated linear layer.
    """

    current: Format
    potential: Format
    y: Format
    gate: Format

    @property
    def sums(self) -> Format:
        """See `OutputFormats.sums`."""
        return self.current

    @property
    def mixes(self) -> Format:
        """See `OutputFormats.mixes`."""
        return SPIKES

    def finest(self, rows: int) -> Fracs:
        """See `OutputFormats.finest`."""
        return useful_frac(SPIKES, np.repeat([self.y.frac, self.gate.frac], rows // 2))


@dataclass(frozen=True, eq=False)
class SpikingOutput(QuantizedOutput):
    """Neurons, and y sigmoid(gate) of their spikes.

    Attributes:
        formats: of its edges.
        neurons: threshold and what the potential keeps.
        mix, mix_bias: (2H, H), (2H,), what is gated and then the gate.
        sigmoid: table over the codes of the gate.
        dropout: probability while training.
        quantizers: of edges, in place of plain rounding and saturation.
    """

    sums: ClassVar[str] = "current"
    formats: SpikingFormats
    neurons: NeuronCodes
    mix: Tensor
    mix_bias: Tensor
    sigmoid: Tensor
    dropout: float = 0.0
    quantizers: Quantizers | None = None

    def run(self, sums: Tensor, name: Name, training: bool, record: Recorder) -> Tensor:
        """See `QuantizedOutput.run`; a neuron makes a step a row."""
        formats = self.formats
        found = quantized_neuron_scan("lif", sums, self.neurons, formats.potential, None)
        record.states(name("neurons"), [(found.u_pre * (1 - found.z), formats.potential)])
        record(name("neurons"), found.z, SPIKES)
        mixed = linear(shared_dropout(found.z, self.dropout, training), self.mix, self.mix_bias)
        y, gate = mixed.chunk(2, dim=2)
        y = store(self.quantizers, "y", y, formats.y)
        record(name("y"), y, formats.y)
        return self.gated(y, gate, name, record)


class Spiking(Output[Layer], Generic[Layer]):
    """See `Output`.

    Args:
        tau: what a potential keeps of the step before.
    """

    sums = "current"
    edges: Mapping[str, str] = MappingProxyType({"current": "potential", "y": "activation", "gate": "activation"})
    shown = ("current", "neurons", "y", "gate", "sigmoid", "gated")
    wide = ("current",)
    constants = ("constant",)

    def __init__(self, tau: float) -> None:
        self.tau = tau

    def formats(self, edges: Mapping[str, Format]) -> SpikingFormats:
        """See `Output.formats`."""
        current = edges["current"]
        return SpikingFormats(current=current, potential=current, y=edges["y"], gate=edges["gate"])

    def settle(self, edges: Quantizers) -> None:
        """See `Output.settle`."""
        current = edges["current"]
        assert current.frac is not None
        current.frac = max(current.frac, current.width - 1 - POTENTIAL_BITS)

    def reach(self, x: Tensor) -> Tensor:
        """See `Output.reach`: what a potential keeps adds to the current, and together they stay below this."""
        return x.abs().amax().reshape(1) / (1 - self.tau) if x.numel() else x

    def quantized(
        self,
        formats: SpikingFormats,
        weights: tuple[Tensor, Tensor],
        quantizers: Quantizers,
        widths: Widths,
        dropout: float,
    ) -> SpikingOutput:
        """See `Output.quantized`."""
        mix, bias = weights
        ones = torch.ones_like(bias[: len(bias) // 2])
        code, frac = leak(self.tau, widths.constant)
        return SpikingOutput(
            formats=formats,
            neurons=driven(ones * threshold(formats.potential) * formats.potential.scale, ones * code * 2.0**-frac),
            mix=mix,
            mix_bias=bias,
            sigmoid=table_values("sigmoid", formats.gate, SIGMOID, mix.device),
            dropout=dropout,
            quantizers=quantizers,
        )

    def nodes(
        self,
        name: Name,
        source: str,
        weights: tuple[Floats, Floats],
        fracs: Fracs,
        formats: SpikingFormats,
        widths: Widths,
    ) -> Iterator[Node]:
        """See `Output.nodes`."""
        weight, bias = weights
        size = len(bias) // 2
        yield self.neurons(name("neurons"), source, formats, widths, size)
        halves = zip(
            ("y", "gate"), (formats.y, formats.gate), *(np.split(x, 2) for x in (weight, fracs, bias)), strict=True
        )
        for what, format, part, frac, offset in halves:
            operand = Operand(name("neurons"), SPIKES, part, widths.gate, frac)
            yield linear_node(name(what), [operand], offset, format)
        yield from gate_nodes(name, formats.y, formats.gate, size)

    def neurons(self, name: str, source: str, formats: SpikingFormats, widths: Widths, size: int) -> DrivenLIF:
        """The neurons; to reach the threshold is to fire, so its code is one lower."""
        code, frac = leak(self.tau, widths.constant)
        return DrivenLIF(
            name=name,
            inputs=(source,),
            output=SPIKES,
            format=formats.current,
            potential=formats.potential,
            threshold=np.full(size, threshold(formats.potential), dtype=np.int64),
            constant_width=widths.constant,
            alpha=np.full(size, code, dtype=np.int64),
            alpha_frac=frac,
        )


def frozen_spiking(table: NodeTable, path: str, device: torch.device) -> SpikingOutput:
    """From the nodes of the layer at ``path``."""
    y, gate = table.get(Linear, f"{path}/y"), table.get(Linear, f"{path}/gate")
    sigmoid, neurons = table.get(Lookup, f"{path}/sigmoid"), table.get(DrivenLIF, f"{path}/neurons")
    return SpikingOutput(
        formats=SpikingFormats(current=neurons.format, potential=neurons.potential, y=y.output, gate=gate.output),
        neurons=driven(
            values_of(neurons.threshold, neurons.potential.frac, device),
            values_of(neurons.alpha, neurons.alpha_frac, device),
        ),
        mix=torch.cat([weight_of(node, 0, device) for node in (y, gate)]),
        mix_bias=torch.cat([bias_of(node, device) for node in (y, gate)]),
        sigmoid=values_of(sigmoid.table, sigmoid.output.frac, device),
    )


def potentials(current: Tensor, tau: float) -> Tensor:
    """Potentials after the reset, of scaled currents, both (T, H)."""
    u, kept = torch.zeros_like(current[:0].sum(0)), []
    for arriving in current.unbind(0):
        reached = tau * u + arriving
        u = torch.where(reached >= 1, 0.0, reached)
        kept.append(u)
    return torch.stack(kept) if kept else current


def threshold(potential: Format) -> int:
    """The code above which a neuron fires whose threshold is 1."""
    return (1 << potential.frac) - 1


def leak(tau: float, width: int) -> tuple[int, int]:
    """The code of what a potential keeps, and its fractional bits: as few as hold it."""
    highest = (1 << (width - 1)) - 1
    frac = int(largest_frac(tau, highest, 0))
    code = int(rounded(np.asarray(np.ldexp(tau, frac))))
    while code and code % 2 == 0:
        code, frac = code // 2, frac - 1
    return code, max(frac, 0)


def driven(threshold: Tensor, kept: Tensor) -> NeuronCodes:
    """Neurons that a current drives, as those of a LIF layer without synapses: (H,) each."""
    none = torch.zeros_like(kept)
    return NeuronCodes(
        recurrent=kept.new_zeros(len(kept), 0),
        threshold=threshold,
        alpha=kept,
        rise=torch.ones_like(kept),
        beta=none,
        coupling=none,
        jump=none,
    )
