"""Derivation: the nodes of a program from float32 parameters, in float64, once.

Freezing calls this; the frozen model and the lowered program hold what it returns and compute nothing anew.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    Node,
    Readout,
    TokenInput,
)
from ..codes import accumulator_codes, weight_codes
from ..config import Widths
from ..nodes import Operand, batch_norm_node, linear_node, readout_node
from ..output import Output
from .exponents import Folded, layer_decays, mode_rows, read_columns
from .formats import Geometry, LayerFormats, LayerFracs, pooled
from .reading import own_norm_node, reading_nodes

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
    output: Output[Any],
) -> tuple[list[Node], Edges]:
    """The nodes of one layer and the edges it leaves to the next.

    Args:
        folded: its weights, float64 arrays.
        geometry: where it lies, and what it is made of.
        edges: what it reads.
        formats: of its edges.
        fracs: exponents of its weights.
        widths: bits of its weights.
        tick_ms: length of a tick.
        output: what follows its state space.

    Raises:
        ProgramError: an intermediate that does not fit; names the node.
    """
    name = geometry.node
    nodes = list(reading_nodes(folded, geometry, edges.x, formats, fracs, widths))
    nodes.append(_ssm(folded, geometry, edges, formats, fracs, widths, tick_ms))
    state, u, x, after = name("ssm"), geometry.drive, edges.x, edges
    if geometry.stride > 1:
        pools, after = _pools(folded, geometry, edges, formats)
        nodes += pools
        state, u, x = name("state"), name("u_pool"), name("skip_pool")
    nodes += _sums(folded, geometry, name(output.sums), state, u, formats, fracs, widths)
    weights = folded.gate, folded.gate_bias
    nodes += output.nodes(name, name(output.sums), weights, fracs.gate, formats.out, widths)
    nodes += _joined(folded, geometry, x, formats, fracs, widths)
    return nodes, Edges(name("out"), after.gap, after.weight)


def input_nodes(values: TokenInput | DenseInput, tick_us: int, weight_us: int | None) -> list[Node]:
    """The values, gaps in ticks, and the weights of timepool in their own unit where they are read."""
    nodes: list[Node] = [values, GapInput(name="gap", inputs=(), output=GAP_FORMAT, unit_us=tick_us)]
    if weight_us is not None and weight_us != tick_us:
        nodes.append(GapInput(name="pool_gap", inputs=(), output=GAP_FORMAT, unit_us=weight_us))
    return nodes


def readout(head: str, edges: Edges, total: str, input: Format, output: Format, size: int) -> Readout:
    """The read-out over the last layer's outputs; ``total``: the gaps that make its time."""
    mode = READOUT_MODES[head]
    inputs = (edges.x, edges.weight, total) if mode == "time" else (edges.x,)
    return readout_node("readout", inputs, input, output, size, mode)


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
    codes = weight_codes(mode_rows(folded.input, folded.parts), fracs.input, widths.input)
    accumulator = fracs.input + formats.u.frac
    biases = folded.input_bias[:modes], folded.input_bias[modes:]
    decay_re, decay_im, exponent = layer_decays(folded, tick_ms, formats, widths)
    return DiagonalSSM(
        name=geometry.node("ssm"),
        inputs=(geometry.drive, edges.gap),
        output=formats.read,
        format=formats.u,
        discretization=geometry.discretization,
        input_re=codes[:, :inputs],
        input_im=codes[:, inputs:].reshape(-1, inputs),
        input_width=widths.input,
        input_frac=fracs.input.astype(np.int16),
        bias_re=accumulator_codes(biases[0], accumulator),
        bias_im=accumulator_codes(biases[1], accumulator[: len(biases[1])]),
        state_width=formats.state_width,
        state_frac=formats.state_frac.astype(np.int16).reshape(modes),
        decay_re=decay_re,
        decay_im=decay_im,
        decay_width=widths.decay,
        decay_exponent=exponent,
        read_shift=formats.read_shift,
    )


def _pools(folded: Folded, geometry: Geometry, edges: Edges, formats: LayerFormats) -> tuple[list[Node], Edges]:
    """Pools of a strided layer, of the states and of what is read besides; edges left to the next layer."""
    name, window = geometry.node, geometry.stride

    def pool(what: str, source: str, format: Format, size: int, mode: str) -> EventPool:
        output = pooled(format, window) if mode == "mean" else format
        read = (source, edges.weight) if mode == "time" else (source,)
        return EventPool(
            name=name(what), inputs=read, output=output, format=format, size=size, window=window, mode=mode
        )

    modes, inputs = len(folded.rate), folded.input.shape[1]
    nodes: list[Node] = [pool("state", name("ssm"), formats.read, folded.parts * modes, geometry.sampling)]
    if folded.feedthrough is not None:
        nodes.append(pool("u_pool", geometry.drive, formats.u, inputs, geometry.pooling))
    if geometry.residual:
        nodes.append(pool("skip_pool", edges.x, formats.input, inputs, geometry.pooling))
    gap, weight = edges.gap, edges.weight
    shared = gap == weight
    if geometry.pools_gap or (shared and geometry.pools_weight):
        nodes.append(pool("gap_pool", edges.gap, GAP_FORMAT, 1, "sum"))
        gap = name("gap_pool")
        weight = gap if shared else weight
    if geometry.pools_weight and not shared:
        nodes.append(pool("pool_gap_pool", edges.weight, GAP_FORMAT, 1, "sum"))
        weight = name("pool_gap_pool")
    return nodes, Edges(edges.x, gap, weight)


def _sums(
    folded: Folded,
    geometry: Geometry,
    name: str,
    state: str,
    u: str,
    formats: LayerFormats,
    fracs: LayerFracs,
    widths: Widths,
) -> Iterator[Node]:
    """C x + D u under ``name``, behind the norm inside where there is one."""
    columns = read_columns(folded.output, formats)
    operands = [Operand(state, geometry.sampled(formats.read), columns, widths.output, fracs.output)]
    if folded.feedthrough is not None and fracs.feedthrough is not None:
        form = geometry.pooled(formats.u)
        operands.append(Operand(u, form, folded.feedthrough, widths.feedthrough, fracs.feedthrough))
    if formats.linear is None:
        yield linear_node(name, operands, folded.bias, formats.out.sums)
        return
    linear = geometry.node("linear")
    yield linear_node(linear, operands, folded.bias, formats.linear)
    yield own_norm_node(name, linear, folded, (formats.linear, formats.out.sums), fracs, geometry, widths)


def _joined(
    folded: Folded, geometry: Geometry, x: str, formats: LayerFormats, fracs: LayerFracs, widths: Widths
) -> Iterator[Node]:
    """What the layer leaves: the sum of its pooled input, the edge ``x``, and its output, behind the norm after it."""
    name, size = geometry.node, len(folded.bias)
    sources: tuple[str, ...] = (name("gated"),)
    forms: tuple[Format, ...] = (formats.out.gated,)
    if geometry.residual:
        form = geometry.pooled(formats.input)
        if folded.skip is not None and fracs.skip is not None and formats.skip is not None:
            operand = Operand(x, form, folded.skip.weight, widths.skip, fracs.skip)
            yield linear_node(name("skip"), [operand], folded.skip.bias, formats.skip)
            x, form = name("skip"), formats.skip
        sources, forms = (x, *sources), (form, *forms)
    total, format = ("out", formats.output) if formats.total is None else ("total", formats.total)
    yield Add(name=name(total), inputs=sources, output=format, formats=forms, size=size)
    if geometry.after == "batch":
        assert folded.norm is not None
        assert fracs.norm is not None
        yield batch_norm_node(name("out"), name(total), *folded.norm, fracs.norm, widths.norm, format, formats.output)
    elif geometry.after == "layer":
        yield own_norm_node(name("out"), name(total), folded, (format, formats.output), fracs, geometry, widths)
