"""Writers of nodes that keep no state: inputs, embedding, linear, tables, products, sums, norms.

Shapes are those of ``integer/stateless.py``; rows may as well be all events of a block.
"""

from __future__ import annotations

import numpy as np

from ....program.nodes import (
    GAP_FORMAT,
    Add,
    BatchNorm,
    DenseInput,
    Embedding,
    GapInput,
    LayerNorm,
    Linear,
    Lookup,
    Multiply,
    Node,
    TokenInput,
    ValueInput,
)
from ...about import input_ranges
from ..arithmetic import FLOAT32_LIMIT
from ..dialect import Writer
from ..event import ProgramEvent
from ..graph import Graph
from ..integer import stateless as integers
from ..opset import BITWISE
from ..sums import Term
from .arithmetic import DOUBLE, LIMIT, SINGLE, floor_half_up, prefers_single, quotient, root, saturate, store_sum

ONE = np.ones(1, dtype=np.int64)

CENTRED = 128
"""Channels of a norm up to which a product centres them, in place of a sum and a difference."""


def write_value_input(event: ProgramEvent, node: ValueInput) -> str:
    """Tokens (B,) stay integers; dense codes (B, channels) are numbers from here on."""
    tensor = integers.write_value_input(event, node)
    return event.graph.cast(tensor, DOUBLE) if node.event_shape else tensor


def write_gap_input(event: ProgramEvent, node: GapInput) -> str:
    """Gaps (B,) become one channel (B, 1) int64, brought into the range that a host may give."""
    graph = event.graph
    given = graph.cast(event.graph.input(node.name, np.int64, ["batch"]), DOUBLE)
    column = graph.op("Unsqueeze", given, graph.constant([1], np.int64), dtype=DOUBLE)
    most = input_ranges(event.program)[node.name][1]
    limited = graph.op("Clip", column, graph.constant(0, DOUBLE), graph.constant(most, DOUBLE))
    gap = graph.cast(limited, np.int64)
    graph.same(gap, limited)
    return gap


def write_embedding(event: ProgramEvent, node: Embedding) -> str:
    """A look-up in the table of finished output codes, which joins the event's tables."""
    event.tables = {**event.tables, node.name: integers.codes_of(node)}
    return event.look_up(event.tables[node.name], DOUBLE)


def write_linear(event: ProgramEvent, node: Linear) -> str:
    """One exact sum over all operands, rounded once."""
    operands = zip(event.inputs_of(node), node.formats, node.weights, node.operand_shifts, strict=True)
    terms = [Term(tensor, weight, shift, form.magnitude, form) for tensor, form, weight, shift in operands]
    return store_sum(event.graph, terms, node.bias, node.output_shift, node.output)


def write_batch_norm(event: ProgramEvent, node: BatchNorm) -> str:
    """Multiplier, bias and shift of each channel."""
    (value,) = event.inputs_of(node)
    term = Term(value, node.multiplier, 0, node.format.magnitude)
    return store_sum(event.graph, [term], node.bias, node.shift, node.output)


def write_layer_norm(event: ProgramEvent, node: LayerNorm) -> str:
    """Integer layer norm; ``V = sum (H x - S)^2 / H``, a quotient without a rest, where the sum of squares fits."""
    graph, size, magnitude = event.graph, node.size, node.format.magnitude
    a, b, c = node.shifts
    last = graph.constant([-1], np.int64)
    (value,) = event.inputs_of(node)
    exact = size**3 * magnitude**2 < LIMIT
    if exact and size <= CENTRED and 2 * size * magnitude < FLOAT32_LIMIT and not node.gamma.size:
        return _clipped(graph, _normalized(graph, value, node), node)
    value, raised = graph.cast(value, DOUBLE), 4.0**node.root_shift

    def scaled(tensor: str, factor: float) -> str:
        return tensor if factor == 1 else graph.op("Mul", tensor, graph.constant(factor, DOUBLE))

    def summed(tensor: str) -> str:
        return graph.op("ReduceSum", tensor, last, dtype=DOUBLE, keepdims=1)

    total = summed(value)
    deviation = graph.op("Sub", scaled(value, size), total)
    if exact:
        squares = _sum_of_squares(graph, deviation)
        variance = graph.op("Div", squares, graph.constant(size / raised, DOUBLE))
    else:
        squares = scaled(_sum_of_squares(graph, value), size * raised)
        variance = graph.op("Sub", squares, graph.op("Mul", total, scaled(total, raised)))
    r = root(graph, graph.op("Add", variance, graph.constant(node.epsilon * raised, DOUBLE)))
    if node.gamma.size:
        deviation = graph.op("Mul", deviation, graph.constant(np.ldexp(node.gamma.astype(np.float64), a - c), DOUBLE))
    else:
        r = scaled(r, 2.0 ** (c - a))
        return _clipped(graph, quotient(graph, deviation, r), node)
    if node.beta.size:
        offset = graph.op("Mul", r, graph.constant(np.ldexp(node.beta.astype(np.float64), b - c), DOUBLE))
        deviation = graph.op("Add", deviation, offset)
    return _clipped(graph, quotient(graph, deviation, r), node)


def _normalized(graph: Graph, value: str, node: LayerNorm) -> str:
    """Of few channels: the numerator in its own unit is a product with ``H 1 - 1 1^T``, whose sums float32 holds."""
    size, (a, _, c), raised = node.size, node.shifts, 4.0**node.root_shift
    unit = 2.0 ** (a - c)
    centre = graph.constant((size * np.eye(size) - 1) * unit, SINGLE)
    numerator = graph.cast(graph.op("MatMul", graph.cast(value, SINGLE), centre), DOUBLE)
    squares = _sum_of_squares(graph, numerator)
    variance = graph.op("Div", squares, graph.constant(size * unit**2 / raised, DOUBLE))
    offset = graph.constant(node.epsilon * raised, DOUBLE)
    return quotient(graph, numerator, root(graph, graph.op("Add", variance, offset)))


def _sum_of_squares(graph: Graph, tensor: str) -> str:
    """Over the channels, (B, 1)."""
    kind = "ReduceSumSquare"  # its axes are an attribute in older operator sets
    if graph.opset < BITWISE:
        return graph.op(kind, tensor, keepdims=1, axes=[-1])
    return graph.op(kind, tensor, graph.constant([-1], np.int64), dtype=DOUBLE, keepdims=1)


def write_lookup(event: ProgramEvent, node: Lookup) -> str:
    """A gather; the table is rotated so that negative codes count from its end, as ONNX indices do.

    Where float32 is the fastest for some product of the program, what tables give is float32 already.
    """
    graph = event.graph
    code = graph.cast(event.inputs_of(node)[0], np.int32)
    large = any(
        prefers_single(weight, form)
        for linear in event.program.of_type(Linear)
        for weight, form in zip(linear.weights, linear.formats, strict=True)
    )
    dtype = SINGLE if large and node.output.magnitude < FLOAT32_LIMIT else DOUBLE
    table = graph.constant(np.roll(node.table, node.format.min), dtype)
    return graph.op("Gather", table, code, dtype=dtype, axis=0)


def write_multiply(event: ProgramEvent, node: Multiply) -> str:
    """The exact product, rounded once."""
    graph, inputs, largest = event.graph, event.inputs_of(node), node.bounds()["the product"]
    single = largest < FLOAT32_LIMIT and all(graph.dtypes[tensor] == SINGLE for tensor in inputs)
    product = graph.op("Mul", *(graph.cast(tensor, SINGLE if single else DOUBLE) for tensor in inputs))
    return saturate(graph, floor_half_up(graph, product, node.shift), largest >> max(node.shift, 0), node.output)


def write_add(event: ProgramEvent, node: Add) -> str:
    """The exact sum, rounded once; gaps are int64."""
    if GAP_FORMAT in node.formats:
        return integers.write_add(event, node)
    operands = zip(event.inputs_of(node), node.formats, node.operand_shifts, strict=True)
    terms = [Term(tensor, ONE, shift, form.magnitude) for tensor, form, shift in operands]
    return store_sum(event.graph, terms, 0, node.output_shift, node.output)


def _clipped(graph: Graph, tensor: str, node: Node) -> str:
    return saturate(graph, tensor, LIMIT, node.output)


WRITERS: dict[type[Node], Writer] = {
    DenseInput: write_value_input,
    GapInput: write_gap_input,
    TokenInput: write_value_input,
    Add: write_add,
    BatchNorm: write_batch_norm,
    Embedding: write_embedding,
    LayerNorm: write_layer_norm,
    Linear: write_linear,
    Lookup: write_lookup,
    Multiply: write_multiply,
}
