"""Batch norm as an affine map, layer norm with an integer square root."""

from __future__ import annotations

import numpy as np

from ....quantize.program.bounds import register
from ....quantize.program.nodes import BatchNorm, LayerNorm
from ..arithmetic import accumulator_dtype, integer_sqrt, rounded_divide, saturate, shift_half_up, shift_left
from ..event import EventGraph


def write_batch_norm(event: EventGraph, node: BatchNorm) -> str:
    """Multiplier, bias and shift of each channel."""
    graph = event.graph
    dtype = accumulator_dtype(register(max(node.bounds().values())))
    (value,) = event.inputs_of(node)
    scaled = graph.op("Mul", graph.cast(value, dtype), graph.constant(node.multiplier, dtype))
    mapped = graph.op("Add", scaled, graph.constant(node.bias, dtype))
    return saturate(graph, shift_half_up(graph, mapped, node.shift), node.output)


def write_layer_norm(event: EventGraph, node: LayerNorm) -> str:
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
