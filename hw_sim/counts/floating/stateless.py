"""Products, sums, functions and norms."""

from __future__ import annotations

import numpy as np

from ....program.nodes import Add, BatchNorm, Embedding, LayerNorm, Linear, Lookup, Multiply, Node
from ..edges import Edges
from ..records import Tally
from .rule import FloatRule, op, read

FUNCTIONS = {
    # (multiplies, adds, divisions, transcendental functions) an element
    "gelu": (6, 2, 0, 1),  # 0.5 x (1 + tanh(c (x + 0.044715 x^3)))
    "sigmoid": (0, 1, 1, 1),  # 1 / (1 + exp(-x))
}
"""Cost of a non-linearity that the program holds as a table; one transcendental function for any other."""


def linear(node: Linear, edges: Edges, tally: Tally) -> None:
    """``sum_i W_i x_i + b``."""
    runs, bias = len(edges.output(node)), int(np.count_nonzero(node.bias))
    for edge, weight in zip(node.inputs, node.weights, strict=True):
        op(tally, "mac", edge, runs * weight.size)
        read(tally, runs * weight.size)
    op(tally, "add", "bias", runs * bias)
    read(tally, runs * bias)


def embedding(node: Embedding, edges: Edges, tally: Tally) -> None:
    """One row of the table."""
    op(tally, "gather", "table", len(edges.output(node)) * node.table.size)
    read(tally, edges.output(node).size)


def lookup(node: Lookup, edges: Edges, tally: Tally) -> None:
    """The function that the table stands for."""
    count = edges.output(node).size
    costs = FUNCTIONS.get(node.function, (0, 0, 0, 1))
    for kind, cost in zip(("multiply", "add", "divide", "function"), costs, strict=True):
        op(tally, kind, node.function, cost * count)


def multiply(node: Multiply, edges: Edges, tally: Tally) -> None:
    """``a b``."""
    op(tally, "multiply", "product", edges.output(node).size)


def add(node: Add, edges: Edges, tally: Tally) -> None:
    """``sum_i x_i``."""
    op(tally, "add", "sum", edges.output(node).size * (len(node.inputs) - 1))


def batch_norm(node: BatchNorm, edges: Edges, tally: Tally) -> None:
    """``m x + b``."""
    count = edges.output(node).size
    op(tally, "multiply", "scale", count)
    op(tally, "add", "bias", count)
    read(tally, 2 * count)


def layer_norm(node: LayerNorm, edges: Edges, tally: Tally) -> None:
    """Mean; centred values; mean square; 1 / sqrt(variance + eps); scale; gamma and beta where they are not folded."""
    count, runs = edges.output(node).size, len(edges.output(node))
    op(tally, "multiply", "mean and variance", 2 * runs)
    op(tally, "add", "sums", 2 * runs * (node.size - 1) + runs)
    op(tally, "add", "centre", count)
    op(tally, "multiply", "squares", count)
    op(tally, "root", "deviation", runs)
    op(tally, "divide", "deviation", runs)
    op(tally, "multiply", "scale", count)
    op(tally, "multiply", "gamma", count if node.gamma.size else 0)
    op(tally, "add", "beta", count if node.beta.size else 0)
    read(tally, runs * (node.gamma.size + node.beta.size))


def linear_numbers(node: Linear) -> int:
    """Weights, and biases that are not zero."""
    return sum(weight.size for weight in node.weights) + int(np.count_nonzero(node.bias))


RULES: dict[type[Node], FloatRule] = {
    Add: FloatRule(add),
    BatchNorm: FloatRule(batch_norm, lambda node: 2 * node.channels),
    Embedding: FloatRule(embedding, lambda node: node.table.size),
    LayerNorm: FloatRule(layer_norm, lambda node: node.gamma.size + node.beta.size),
    Linear: FloatRule(linear, linear_numbers),
    Lookup: FloatRule(lookup),
    Multiply: FloatRule(multiply),
}
"""A non-linearity needs no table."""
