"""Nodes without state, for one event: (node, inputs (channels,) int64 each) -> (channels,) int64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....program.arithmetic import integer_sqrt, round_half_up_shift, rounded_divide, saturate
from ....program.nodes import Add, BatchNorm, Embedding, LayerNorm, Linear, Lookup, Multiply, Node

Edges = Sequence[np.ndarray]


def embedding(node: Embedding, inputs: Edges) -> np.ndarray:
    """The row of the token."""
    row = node.table[int(inputs[0][0])].astype(np.int64)
    return saturate(round_half_up_shift(row, node.shift), node.output)[0]


def linear(node: Linear, inputs: Edges) -> np.ndarray:
    """One exact sum over all operands, rounded once."""
    total = node.bias.astype(np.int64)
    for weight, shift, operand in zip(node.weights, node.operand_shifts, inputs, strict=True):
        product = weight * operand if weight.ndim == 1 else np.dot(weight.astype(np.int64), operand)
        total = total + product * (1 << shift)
    return saturate(round_half_up_shift(total, node.output_shift), node.output)[0]


def lookup(node: Lookup, inputs: Edges) -> np.ndarray:
    """A table entry for each channel."""
    return node.table[inputs[0] - node.format.min].astype(np.int64)


def multiply(node: Multiply, inputs: Edges) -> np.ndarray:
    """The product, rounded once."""
    return saturate(round_half_up_shift(inputs[0] * inputs[1], node.shift), node.output)[0]


def add(node: Add, inputs: Edges) -> np.ndarray:
    """The sum, rounded once."""
    shifted = [operand * (1 << shift) for operand, shift in zip(inputs, node.operand_shifts, strict=True)]
    total = np.sum(shifted, axis=0)
    return saturate(round_half_up_shift(total, node.output_shift), node.output)[0]


def batch_norm(node: BatchNorm, inputs: Edges) -> np.ndarray:
    """An affine map of each channel."""
    total = node.multiplier * inputs[0] + node.bias
    return saturate(round_half_up_shift(total, node.shift), node.output)[0]


def layer_norm(node: LayerNorm, inputs: Edges) -> np.ndarray:
    """Integer layer norm."""
    (x,) = inputs
    a, b, c = node.shifts
    deviation = node.size * x - x.sum()
    variance = node.size * np.dot(x, x) - x.sum() ** 2
    root = integer_sqrt((variance + node.epsilon) << (2 * node.root_shift))
    numerator = (deviation << a) * (node.gamma.astype(np.int64) if node.gamma.size else 1)
    if node.beta.size:
        numerator = numerator + node.beta * (root << b)
    return saturate(rounded_divide(numerator, root << c), node.output)[0]


STATELESS: Mapping[type[Node], Callable[[Any, Edges], np.ndarray]] = {
    Add: add,
    BatchNorm: batch_norm,
    Embedding: embedding,
    LayerNorm: layer_norm,
    Linear: linear,
    Lookup: lookup,
    Multiply: multiply,
}
"""The function of each node type."""
