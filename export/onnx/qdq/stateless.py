"""Nodes without a state."""

from __future__ import annotations

import functools

import numpy as np

from ....program.formats import smallest_dtype
from ....program.nodes import (
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
)
from ..dialect import Writer
from ..event import ProgramEvent
from ..integer.stateless import write_gap_input, write_value_input
from .quantize import WIDEST, codes_to_real, matmul, power, quantize, real

FUNCTIONS = {"gelu": ("Gelu", {"approximate": "tanh"}), "sigmoid": ("Sigmoid", {})}


def write_dense_input(event: ProgramEvent, node: DenseInput) -> str:
    """Codes times their scale."""
    graph = event.graph
    codes = graph.cast(write_value_input(event, node), np.float32)
    return graph.op("Mul", codes, graph.constant(node.output.scale, np.float32))


def write_embedding(event: ProgramEvent, node: Embedding) -> str:
    """A look-up in the table of codes."""
    graph = event.graph
    codes = event.look_up(node.table, smallest_dtype(node.table_width))
    scale = graph.constant(power(-node.table_frac), np.float32)
    return quantize(graph, graph.op("DequantizeLinear", codes, scale, dtype=np.float32), node.output)


def write_linear(event: ProgramEvent, node: Linear) -> str:
    """The sum over all operands. Wide outputs, such as logits, are not rounded."""
    graph = event.graph
    operands = zip(event.inputs_of(node), node.weights, node.weight_widths, node.weight_fracs, strict=True)
    products = [matmul(graph, tensor, weight, width, frac) for tensor, weight, width, frac in operands]
    total = functools.reduce(lambda total, product: graph.op("Add", total, product), products)
    if node.bias.any():
        total = graph.op("Add", total, real(graph, node.bias * 2.0**-node.accumulator_frac))
    return total if node.output.width > WIDEST else quantize(graph, total, node.output)


def write_lookup(event: ProgramEvent, node: Lookup) -> str:
    """The function itself where ONNX has it, else its table."""
    graph = event.graph
    (tensor,) = event.inputs_of(node)
    if node.function in FUNCTIONS:
        kind, attributes = FUNCTIONS[node.function]
        return quantize(graph, graph.op(kind, tensor, dtype=np.float32, **attributes), node.output)
    scaled = graph.op("Mul", tensor, graph.constant(power(node.format.frac), np.float32))
    codes = graph.cast(graph.op("Round", scaled), np.int64)
    index = graph.op("Sub", codes, graph.constant(node.format.min, np.int64))
    table = codes_to_real(graph, node.table, node.output.width + (not node.output.signed), node.output.frac)
    return graph.op("Gather", table, index, dtype=np.float32, axis=0)


def write_multiply(event: ProgramEvent, node: Multiply) -> str:
    """The product."""
    return quantize(event.graph, event.graph.op("Mul", *event.inputs_of(node)), node.output)


def write_add(event: ProgramEvent, node: Add) -> str:
    """The sum."""
    first, *others = event.inputs_of(node)
    for other in others:
        first = event.graph.op("Add", first, other)
    return quantize(event.graph, first, node.output)


def write_batch_norm(event: ProgramEvent, node: BatchNorm) -> str:
    """An affine map a channel."""
    graph = event.graph
    (tensor,) = event.inputs_of(node)
    frac = node.shift.astype(np.int64) + node.output.frac
    scaled = matmul(graph, tensor, node.multiplier, node.multiplier_width, frac - node.format.frac)
    return quantize(graph, graph.op("Add", scaled, real(graph, node.bias * 2.0**-frac)), node.output)


def write_layer_norm(event: ProgramEvent, node: LayerNorm) -> str:
    """The operator LayerNormalization."""
    graph = event.graph
    (tensor,) = event.inputs_of(node)
    gamma = node.gamma * 2.0**-node.gamma_frac if node.gamma.size else np.ones(node.size)
    beta = node.beta * 2.0**-node.beta_frac if node.beta.size else np.zeros(node.size)
    epsilon = node.epsilon / node.size**2 * node.format.scale**2
    normal = graph.op(
        "LayerNormalization",
        tensor,
        real(graph, gamma),
        real(graph, beta),
        dtype=np.float32,
        axis=-1,
        epsilon=float(epsilon),
    )
    return quantize(graph, normal, node.output)


WRITERS: dict[type[Node], Writer] = {
    DenseInput: write_dense_input,
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
