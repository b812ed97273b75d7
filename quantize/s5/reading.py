"""What a layer's state space reads: the residual stream normalised, gated, or in the format of an activation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from ...program.formats import Format
from ...program.nodes import Add, BatchNorm, LayerNorm, Linear, Lookup, Multiply, Node
from ..config import Widths
from ..frozen import NodeTable, bias_of, values_of, weight_of
from ..nodes import Operand, batch_norm_node, layer_norm_node, linear_node, lookup_node
from ..operations import Affine, LayerNormTerms, OwnNorm, layer_norm, lookup, table_values
from ..quantizers import Quantizers, store
from ..tables import SIGMOID
from .exponents import BETA_BITS, Folded
from .fold import FoldedLinear, FoldedNorm
from .formats import Geometry, LayerFormats, LayerFracs, gate_names

Show = Callable[[str, Tensor, Format], None]
"""Shows the value of a node, by its own name."""


class Reading(ABC):
    """Quantized weights in front of a state space, as values."""

    @abstractmethod
    def run(self, x: Tensor, formats: LayerFormats, quantizers: Quantizers | None, show: Show) -> Tensor:
        """u (..., H) of the residual stream x (..., H)."""


@dataclass(frozen=True, eq=False)
class LayerNormed(Reading):
    """The residual stream behind a layer norm whose gamma and beta are folded."""

    terms: LayerNormTerms

    def run(self, x: Tensor, formats: LayerFormats, quantizers: Quantizers | None, show: Show) -> Tensor:
        """See `Reading.run`."""
        return layer_norm(x, self.terms, formats.input, formats.u)


@dataclass(frozen=True, eq=False)
class BatchNormed(Reading):
    """The residual stream behind a batch norm."""

    norm: FoldedNorm[Tensor]

    def run(self, x: Tensor, formats: LayerFormats, quantizers: Quantizers | None, show: Show) -> Tensor:
        """See `Reading.run`."""
        return store(quantizers, "u", x * self.norm.multiplier + self.norm.offset, formats.u)


@dataclass(frozen=True, eq=False)
class Gated(Reading):
    """The residual stream times a sigmoid of it; without linear layers the residual stream itself.

    Attributes:
        layers: linear, one behind the other.
        sigmoid: table over the codes of the last one's values.
    """

    layers: tuple[FoldedLinear[Tensor], ...] = ()
    sigmoid: Tensor | None = None

    def run(self, x: Tensor, formats: LayerFormats, quantizers: Quantizers | None, show: Show) -> Tensor:
        """See `Reading.run`."""
        value, form = x, formats.input
        for name, layer, form in zip(gate_names(self.layers), self.layers, formats.gates, strict=True):
            value = store(quantizers, name, linear(value, *layer), form)
            show(name, value, form)
        if self.sigmoid is None:
            return store(quantizers, "u", x, formats.u)
        opened = lookup(value, torch.sigmoid, self.sigmoid, form)
        show("input_sigmoid", opened, SIGMOID)
        return store(quantizers, "u", x * opened, formats.u)


def gated(layers: tuple[FoldedLinear[Tensor], ...], formats: LayerFormats, device: torch.device) -> Gated:
    """From quantized linear layers."""
    return Gated(layers, table_values("sigmoid", formats.gates[-1], SIGMOID, device) if layers else None)


def reading_nodes(
    folded: Folded, geometry: Geometry, x: str, formats: LayerFormats, fracs: LayerFracs, widths: Widths
) -> Iterator[Node]:
    """The nodes in front of a state space, which read the edge ``x``; the last one is u."""
    name, size = geometry.drive, folded.input.shape[1]
    if geometry.before == "batch":
        assert folded.norm is not None
        assert fracs.norm is not None
        yield batch_norm_node(name, x, *folded.norm, fracs.norm, widths.norm, formats.input, formats.u)
    elif geometry.before == "layer":
        terms = LayerNormTerms.of(size, formats.input, geometry.epsilon)
        yield layer_norm_node(name, x, terms, formats.input, formats.u)
    else:
        source, form = x, formats.input
        names = gate_names(folded.gates)
        for what, layer, frac, output in zip(names, folded.gates, fracs.gates, formats.gates, strict=True):
            operand = Operand(source, form, layer.weight, widths.gate, frac)
            yield linear_node(geometry.node(what), [operand], layer.bias, output)
            source, form = geometry.node(what), output
        if not folded.gates:
            yield Add(name=name, inputs=(x,), output=formats.u, formats=(formats.input,), size=size)
            return
        opened = geometry.node("input_sigmoid")
        yield lookup_node(opened, source, "sigmoid", form, SIGMOID, size)
        yield Multiply(name=name, inputs=(x, opened), output=formats.u, formats=(formats.input, SIGMOID), size=size)


def frozen_reading(table: NodeTable, path: str, device: torch.device) -> tuple[Reading, str | None, Format, Format]:
    """From the nodes of the layer at ``path``; the norm in front, and the formats of both sides."""
    norm = table.find(LayerNorm, f"{path}/norm")
    if norm is not None:
        return LayerNormed(terms_of(norm)), "layer", norm.format, norm.output
    scaled = table.find(BatchNorm, f"{path}/norm")
    if scaled is not None:
        return BatchNormed(frozen_batch_norm(scaled, device)), "batch", scaled.format, scaled.output
    plain = table.find(Add, f"{path}/u")
    if plain is not None:
        return Gated(), None, plain.formats[0], plain.output
    product = table.get(Multiply, f"{path}/u")
    sigmoid = table.get(Lookup, f"{path}/input_sigmoid")
    layers = tuple(FoldedLinear(weight_of(node, 0, device), bias_of(node, device)) for node in gate_layers(table, path))
    values = values_of(sigmoid.table, sigmoid.output.frac, device)
    return Gated(layers, values), None, product.formats[0], product.output


def gate_layers(table: NodeTable, path: str) -> list[Linear]:
    """The linear layers of the gate on u of the layer at ``path``."""
    found = (table.find(Linear, f"{path}/{name}") for name in gate_names(((), ())))
    return [node for node in found if node is not None]


def frozen_batch_norm(node: BatchNorm, device: torch.device) -> FoldedNorm[Tensor]:
    """From the node."""
    frac = node.shift.astype(np.int64) + node.output.frac  # of the accumulator
    multiplier = values_of(node.multiplier, frac - node.format.frac, device)
    return FoldedNorm(multiplier, values_of(node.bias, frac, device))


def own_norm_node(
    name: str,
    source: str,
    folded: Folded,
    formats: tuple[Format, Format],
    fracs: LayerFracs,
    geometry: Geometry,
    widths: Widths,
) -> LayerNorm:
    """A layer norm that holds its gamma and beta, from one format to the other."""
    assert folded.affine is not None
    assert fracs.gamma is not None
    terms = LayerNormTerms.of(len(folded.affine.offset), formats[0], geometry.epsilon)
    gamma = folded.affine.multiplier, int(fracs.gamma[0]), widths.norm
    beta = folded.affine.offset, formats[1].frac + BETA_BITS
    return layer_norm_node(name, source, terms, *formats, gamma, beta)


def terms_of(node: LayerNorm) -> LayerNormTerms:
    """From the node."""
    return LayerNormTerms(node.size, node.root_shift, node.epsilon)


def frozen_own_norm(node: LayerNorm, device: torch.device) -> OwnNorm:
    """From a node that holds gamma and beta."""
    gamma, beta = values_of(node.gamma, node.gamma_frac, device), values_of(node.beta, node.beta_frac, device)
    return OwnNorm(terms_of(node), Affine(gamma, node.gamma_frac, beta, node.beta_frac))
