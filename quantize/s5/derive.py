"""Derivation: the nodes of a program from float32 parameters, in float64, once.

Freezing calls this; the frozen model and the lowered program hold what it returns and compute nothing anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...program.formats import Format
from ...program.nodes import (
    GAP_FORMAT,
    Add,
    DenseInput,
    DiagonalSSM,
    EventPool,
    GapInput,
    Linear,
    Node,
    Readout,
    TokenInput,
)
from ..codes import accumulator_codes, weight_codes
from ..config import Widths
from ..decays import decay_table, gap_digits
from ..nodes import Operand, batch_norm_node, layer_norm_node, linear_node, readout_node
from ..operations import LayerNormTerms
from ..output import Output
from .exponents import Folded, mode_rows, read_columns, tick_rate
from .formats import Geometry, LayerFormats, LayerFracs, pooled

POOL_MODES = {"last": "first", "avgpool": "mean", "timepool": "time"}
READOUT_MODES = {"pool": "mean", "timepool": "time", "last": "last"}


@dataclass(frozen=True)
class Edges:
    """Names of the nodes that a layer reads: the residual stream, the gaps, the weights of timepool."""

    x: str
    gap: str
    weight: str


def layer_nodes(
    folded: Folded,
    geometry: Geometry,
    edges: Edges,
    formats: LayerFormats,
    fracs: LayerFracs,
    widths: Widths,
    tick_ms: float,
    epsilon: float,
    output: Output[Any],
) -> tuple[list[Node], Edges]:
    """The nodes of one layer and the edges it leaves to the next.

    Args:
        folded: its weights, float64 arrays.
        geometry: where it lies.
        edges: what it reads.
        formats: of its edges.
        fracs: exponents of its weights.
        widths: bits of its weights.
        tick_ms: length of a tick.
        epsilon: of its layer norm.
        output: what follows its state space.

    Raises:
        ProgramError: an intermediate that does not fit; names the node.
    """
    name = geometry.node
    nodes: list[Node] = [_norm(folded, name("norm"), edges.x, formats, fracs, widths, epsilon)]
    nodes.append(_ssm(folded, geometry, edges, formats, fracs, widths, tick_ms))
    state, u, x = name("ssm"), name("norm"), edges.x
    after = edges
    if geometry.stride > 1:
        pools, state, u, x, after = _pools(geometry, edges, formats, 2 * len(folded.rate), folded.input.shape[1])
        nodes += pools
    by_name = {node.name: node.output for node in nodes}
    sums = _sums(folded, name(output.sums), state, u, by_name.get(u, formats.u), formats, fracs, widths)
    weights = folded.gate, folded.gate_bias
    nodes += [sums, *output.nodes(name, sums.name, weights, fracs.gate, formats.out, widths)]
    skip, skip_format = x, by_name.get(x, formats.input)
    if folded.skip is not None and fracs.skip is not None and formats.skip is not None:
        skip = name("skip")
        operand = Operand(x, skip_format, folded.skip.weight, widths.skip, fracs.skip)
        nodes.append(linear_node(skip, [operand], folded.skip.bias, formats.skip))
        skip_format = formats.skip
    nodes.append(
        Add(
            name=name("out"),
            inputs=(skip, name("gated")),
            output=formats.output,
            formats=(skip_format, formats.out.gated),
            size=len(folded.bias),
        )
    )
    return nodes, Edges(name("out"), after.gap, after.weight)


def input_nodes(values: TokenInput | DenseInput, tick_us: int, weight_us: int | None) -> list[Node]:
    """The values, gaps in ticks, and the weights of timepool in their own unit where they are read."""
    nodes: list[Node] = [values, GapInput(name="gap", inputs=(), output=GAP_FORMAT, unit_us=tick_us)]
    if weight_us is not None and weight_us != tick_us:
        nodes.append(GapInput(name="pool_gap", inputs=(), output=GAP_FORMAT, unit_us=weight_us))
    return nodes


def readout(head: str, edges: Edges, full_rate_weight: str, input: Format, output: Format, size: int) -> Readout:
    """The read-out over the last layer's outputs."""
    mode = READOUT_MODES[head]
    inputs = (edges.x, edges.weight, full_rate_weight) if mode == "time" else (edges.x,)
    return readout_node("readout", inputs, input, output, size, mode)


def _norm(
    folded: Folded, name: str, x: str, formats: LayerFormats, fracs: LayerFracs, widths: Widths, epsilon: float
) -> Node:
    if folded.norm is not None and fracs.multiplier is not None:
        return batch_norm_node(name, x, *folded.norm, fracs.multiplier, widths.norm, formats.input, formats.u)
    terms = LayerNormTerms.of(folded.input.shape[1], formats.input, epsilon)
    return layer_norm_node(name, x, terms, formats.input, formats.u)


def _ssm(
    folded: Folded,
    geometry: Geometry,
    edges: Edges,
    formats: LayerFormats,
    fracs: LayerFracs,
    widths: Widths,
    tick_ms: float,
) -> DiagonalSSM:
    modes, inputs = len(folded.rate), folded.input.shape[1]
    codes = weight_codes(mode_rows(folded.input), fracs.input, widths.input)
    bias_re, bias_im = np.split(folded.input_bias, 2)
    accumulator = fracs.input + formats.u.frac
    rate = tick_rate(folded, tick_ms)
    digits = gap_digits(rate, formats.state_width)
    decay_re, decay_im, exponent = decay_table(rate, digits, widths.decay, formats.state_width)
    return DiagonalSSM(
        name=geometry.node("ssm"),
        inputs=(geometry.node("norm"), edges.gap),
        output=formats.read,
        format=formats.u,
        discretization=geometry.discretization,
        input_re=codes[:, :inputs],
        input_im=codes[:, inputs:],
        input_width=widths.input,
        input_frac=fracs.input.astype(np.int16),
        bias_re=accumulator_codes(bias_re, accumulator),
        bias_im=accumulator_codes(bias_im, accumulator),
        state_width=formats.state_width,
        state_frac=formats.state_frac.astype(np.int16).reshape(modes),
        decay_re=decay_re,
        decay_im=decay_im,
        decay_width=widths.decay,
        decay_exponent=exponent,
        read_shift=formats.read_shift,
    )


def _pools(
    geometry: Geometry, edges: Edges, formats: LayerFormats, states: int, inputs: int
) -> tuple[list[Node], str, str, str, Edges]:
    """Pools of a strided layer; names of the pooled state, u and x; edges left to the next layer."""
    name, window, mode = geometry.node, geometry.stride, POOL_MODES[geometry.pooling]

    def pool(what: str, source: str, format: Format, size: int, mode: str) -> EventPool:
        output = pooled(format, window) if mode == "mean" else format
        read = (source, edges.weight) if mode == "time" else (source,)
        return EventPool(
            name=name(what), inputs=read, output=output, format=format, size=size, window=window, mode=mode
        )

    nodes: list[Node] = [
        pool("state", name("ssm"), formats.read, states, "first"),
        pool("u_pool", name("norm"), formats.u, inputs, mode),
        pool("skip_pool", edges.x, formats.input, inputs, mode),
    ]
    gap, weight = edges.gap, edges.weight
    shared = gap == weight
    if geometry.pools_gap or (shared and geometry.pools_weight):
        nodes.append(pool("gap_pool", edges.gap, GAP_FORMAT, 1, "sum"))
        gap = name("gap_pool")
        weight = gap if shared else weight
    if geometry.pools_weight and not shared:
        nodes.append(pool("pool_gap_pool", edges.weight, GAP_FORMAT, 1, "sum"))
        weight = name("pool_gap_pool")
    return nodes, name("state"), name("u_pool"), name("skip_pool"), Edges(edges.x, gap, weight)


def _sums(
    folded: Folded,
    name: str,
    state: str,
    u: str,
    u_format: Format,
    formats: LayerFormats,
    fracs: LayerFracs,
    widths: Widths,
) -> Linear:
    """C x + D u."""
    columns = read_columns(folded.output, formats)
    operands = [
        Operand(state, formats.read, columns, widths.output, fracs.output),
        Operand(u, u_format, folded.feedthrough, widths.feedthrough, fracs.feedthrough),
    ]
    return linear_node(name, operands, folded.bias, formats.out.sums)
