"""Writers of nodes that keep no state: inputs, embedding, linear, tables, products, sums, norms."""

from __future__ import annotations

import numpy as np

from ....program.arithmetic import round_half_up_shift
from ....program.arithmetic import saturate as saturate_codes
from ....program.nodes import (
    WEIGHT,
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
from ..arithmetic import (
    accumulator_dtype,
    at_least,
    at_most,
    edge_dtype,
    integer_sqrt,
    rounded_divide,
    saturate,
    shift_half_up,
    shift_left,
)
from ..dialect import Writer
from ..event import ProgramEvent
from ..inputs import value_input
from ..sums import Term, store_sum

ONE = np.ones(1, dtype=np.int64)


def write_value_input(event: ProgramEvent, node: ValueInput) -> str:
    """Tokens (B,) become one channel (B, 1); dense codes are (B, channels) already."""
    name, dtype = value_input(node)
    tensor = event.graph.input(name, dtype, ["batch", *node.event_shape])
    if node.event_shape:
        return tensor
    event.token = tensor
    return _one_channel(event, tensor)


def write_gap_input(event: ProgramEvent, node: GapInput) -> str:
    """Gaps (B,) become one channel (B, 1), brought into the range that a host may give.

    State-space nodes limit them further, and the sum of a window; only as weights they may reach the range's end.
    """
    return limit_gap(event, node, _one_channel(event, event.graph.input(node.name, np.int64, ["batch"])))


def limit_gap(event: ProgramEvent, node: GapInput, gap: str) -> str:
    """Gaps as a host may give them: 0 at least, and where they weigh values up to the range's end."""
    gap = at_least(event.graph, gap, 0)
    weighs = any(reader.edge(WEIGHT) and node.name in reader.inputs for reader in event.program)
    return at_most(event.graph, gap, input_ranges(event.program)[node.name][1]) if weighs else gap


def _one_channel(event: ProgramEvent, tensor: str) -> str:
    graph = event.graph
    return graph.op("Unsqueeze", tensor, graph.constant([1], np.int64), dtype=np.int64)


def write_embedding(event: ProgramEvent, node: Embedding) -> str:
    """A look-up in the table of finished output codes."""
    return event.look_up(codes_of(node), edge_dtype(node.output))


def codes_of(node: Embedding) -> np.ndarray:
    """The finished output codes of every token, (vocab, channels)."""
    return saturate_codes(round_half_up_shift(node.table, node.shift), node.output)[0]


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
    """Integer layer norm, all in int64."""
    graph = event.graph
    a, b, c = node.shifts
    last = graph.constant([-1], np.int64)
    value = graph.cast(event.inputs_of(node)[0], np.int64)
    size = graph.like(node.size, value)

    def total(tensor: str) -> str:
        return graph.op("ReduceSum", tensor, last, dtype=np.int64, keepdims=1)

    sum_ = total(value)
    squares = graph.op("Mul", total(graph.op("Mul", value, value)), size)
    variance = graph.op("Sub", squares, graph.op("Mul", sum_, sum_))
    raised = graph.op("Add", variance, graph.like(node.epsilon, variance))
    low, high = node.epsilon << (2 * node.root_shift), node.bounds()["the variance"]
    root = integer_sqrt(graph, shift_left(graph, raised, 2 * node.root_shift), low, high)
    deviation = graph.op("Sub", graph.op("Mul", value, size), sum_)
    gain = (node.gamma.astype(np.int64) if node.gamma.size else np.int64(1)) << np.int64(a)
    numerator = graph.op("Mul", deviation, graph.like(gain, value))
    if node.beta.size:
        offset = graph.op("Mul", root, graph.like(node.beta.astype(np.int64) << np.int64(b), root))
        numerator = graph.op("Add", numerator, offset)
    return saturate(graph, rounded_divide(graph, numerator, shift_left(graph, root, c)), node.output)


def write_lookup(event: ProgramEvent, node: Lookup) -> str:
    """A gather; the table is rotated so that negative codes count from its end, as ONNX indices do."""
    graph = event.graph
    code = graph.cast(event.inputs_of(node)[0], edge_dtype(node.format))  # spikes are bytes, which no index is
    table = graph.constant(np.roll(node.table, node.format.min), edge_dtype(node.output))
    return graph.op("Gather", table, code, dtype=graph.dtypes[table], axis=0)


def write_multiply(event: ProgramEvent, node: Multiply) -> str:
    """The exact product, rounded once."""
    graph = event.graph
    dtype = accumulator_dtype(node.register)
    left, right = (graph.cast(tensor, dtype) for tensor in event.inputs_of(node))
    return saturate(graph, shift_half_up(graph, graph.op("Mul", left, right), node.shift), node.output)


def write_add(event: ProgramEvent, node: Add) -> str:
    """The exact sum, rounded once."""
    operands = zip(event.inputs_of(node), node.formats, node.operand_shifts, strict=True)
    terms = [Term(tensor, ONE, shift, form.magnitude) for tensor, form, shift in operands]
    return store_sum(event.graph, terms, 0, node.output_shift, node.output)


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
