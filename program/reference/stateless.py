"""The reference of nodes that keep no state: each function is its node's equation."""

from __future__ import annotations

import numpy as np

from ..arithmetic import integer_sqrt, round_half_up_shift, rounded_divide
from ..nodes import Add, BatchNorm, Embedding, LayerNorm, Linear, Lookup, Multiply, Node
from .batch import Batch, NodeFunction


def embedding(node: Embedding, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = sat(rhu(table[token]))``."""
    rows = node.table.astype(np.int64)[inputs[0][..., 0]]
    return batch.store(node, round_half_up_shift(rows, node.shift), node.output, valid)


def linear(node: Linear, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y_r = sat(rhu((sum_i W_i x_i)_r + b_r))``: one exact sum, one rounding."""
    total = node.bias.astype(np.int64)
    for weight, shift, x in zip(node.weights, node.operand_shifts, inputs, strict=True):
        weight = weight.astype(np.int64)
        product = weight * x if weight.ndim == 1 else x @ weight.T
        total = total + np.left_shift(product, shift)
    return batch.store(node, round_half_up_shift(total, node.output_shift), node.output, valid)


def lookup(node: Lookup, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = table[q - min]``."""
    return node.table.astype(np.int64)[inputs[0] - node.format.min]


def multiply(node: Multiply, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = sat(rhu(a b))``."""
    return batch.store(node, round_half_up_shift(inputs[0] * inputs[1], node.shift), node.output, valid)


def add(node: Add, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = sat(rhu(sum_i x_i))``."""
    total = sum(np.left_shift(x, shift) for x, shift in zip(inputs, node.operand_shifts, strict=True))
    return batch.store(node, round_half_up_shift(total, node.output_shift), node.output, valid)


def batch_norm(node: BatchNorm, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y_c = sat(rhu((multiplier_c x_c + bias_c) / 2**shift_c))``."""
    total = node.multiplier.astype(np.int64) * inputs[0] + node.bias.astype(np.int64)
    return batch.store(node, round_half_up_shift(total, node.shift), node.output, valid)


def layer_norm(node: LayerNorm, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = sat(floor((2 p + q) / (2 q)))`` with p and q as the node states them."""
    x, size = inputs[0], node.size
    a, b, c = node.shifts
    total = x.sum(axis=-1, keepdims=True)
    variance = size * (x * x).sum(axis=-1, keepdims=True) - total * total
    root = integer_sqrt((variance + node.epsilon) << (2 * node.root_shift))
    numerator = (size * x - total) << a
    if node.gamma.size:
        numerator = numerator * node.gamma.astype(np.int64)
    if node.beta.size:
        numerator = numerator + node.beta.astype(np.int64) * (root << b)
    return batch.store(node, rounded_divide(numerator, root << c), node.output, valid)


FUNCTIONS: dict[type[Node], NodeFunction] = {
    Add: add,
    BatchNorm: batch_norm,
    Embedding: embedding,
    LayerNorm: layer_norm,
    Linear: linear,
    Lookup: lookup,
    Multiply: multiply,
}
