"""Matrix products and what acts on each channel by itself, with zeros skipped."""

from __future__ import annotations

import numpy as np

from ....program.bounds import register_bits
from ....program.nodes import Add, BatchNorm, Embedding, LayerNorm, Linear, Lookup, Multiply, Node
from ..edges import Edges, NodeCounter
from ..records import Tally


def matrix_products(
    tally: Tally, what: str, weight: np.ndarray, widths: tuple[int, int], result: int, x: np.ndarray
) -> None:
    """Count ``W x`` over the events of x (n, in), for W (out, in) or a diagonal (in,), and the weights read."""
    nonzero = x != 0
    by_column = np.count_nonzero(weight, axis=0) if weight.ndim == 2 else (weight != 0).astype(np.int64)
    effective = (nonzero * by_column).sum(axis=1)
    spiking = (np.abs(x) <= 1).all(axis=1)
    tally.add("mac", what, widths, result, len(x) * weight.size, effective.sum(), effective[spiking].sum())
    column = weight.shape[0] if weight.ndim == 2 else 1
    tally.move(weights=nonzero.sum() * column * widths[0], weights_dense=len(x) * weight.size * widths[0])


def linear(node: Linear, edges: Edges, tally: Tally) -> None:
    """``sum_i W_i x_i + b``, rounded once."""
    inputs, runs, result = edges.inputs(node), len(edges.output(node)), register_bits(node.accumulator)
    for edge, weight, width, form, x in zip(
        node.inputs, node.weights, node.weight_widths, node.formats, inputs, strict=True
    ):
        matrix_products(tally, edge, weight, (width, form.width), result, x)
    tally.add("add", "bias", (result, result), result, runs * node.channels, runs * np.count_nonzero(node.bias))
    tally.add("round", "sum", (result, 0), node.output.width, runs * np.count_nonzero(node.output_shift > 0))
    read_fixed(tally, node.whole_bits, runs)


def embedding(node: Embedding, edges: Edges, tally: Tally) -> None:
    """One row of the table: as a product with a one-hot vector it would be a ``gather``; no arithmetic is done."""
    tokens = edges.inputs(node)[0][:, 0]
    effective = np.count_nonzero(node.table[tokens])
    widths = (node.table_width, 1)
    tally.add("gather", "table", widths, node.output.width, len(tokens) * node.table.size, effective, effective)
    tally.add("round", "row", (node.table_width, 0), node.output.width, len(tokens) * node.channels * (node.shift > 0))
    row = len(tokens) * node.channels * node.table_width
    tally.move(weights=row, weights_dense=row)


def lookup(node: Lookup, edges: Edges, tally: Tally) -> None:
    """``y = table[q]``."""
    count = edges.output(node).size
    tally.add("lookup", node.function, (node.format.width, 0), node.output.width, count)
    tally.move(weights=count * node.output.width, weights_dense=count * node.output.width)


def multiply(node: Multiply, edges: Edges, tally: Tally) -> None:
    """``y = sat(rhu(a b))``."""
    a, b = edges.inputs(node)
    result = register_bits(node.register)
    widths = (node.formats[0].width, node.formats[1].width)
    tally.add("multiply", "product", widths, result, a.size, np.count_nonzero(a * b))
    tally.add("round", "product", (result, 0), node.output.width, a.size * (node.shift > 0))


def add(node: Add, edges: Edges, tally: Tally) -> None:
    """``y = sat(rhu(sum_i x_i))``."""
    count, result = edges.output(node).size, register_bits(node.register)
    tally.add("add", "sum", (result, result), result, count * (len(node.inputs) - 1))
    tally.add("round", "sum", (result, 0), node.output.width, count * (node.output_shift > 0))


def batch_norm(node: BatchNorm, edges: Edges, tally: Tally) -> None:
    """``y_c = sat(rhu((m_c x_c + b_c) / 2**s_c))``."""
    x = edges.inputs(node)[0]
    result = register_bits(node.register)
    widths = (node.multiplier_width, node.format.width)
    tally.add("multiply", "scale", widths, result, x.size, np.count_nonzero(x * node.multiplier))
    tally.add("add", "bias", (result, result), result, x.size, len(x) * np.count_nonzero(node.bias))
    tally.add("round", "sum", (result, 0), node.output.width, len(x) * np.count_nonzero(node.shift > 0))
    read_fixed(tally, node.whole_bits, len(x))


def layer_norm(node: LayerNorm, edges: Edges, tally: Tally) -> None:
    """Sums, squares, a root and one division a channel, in 64 bits."""
    x = edges.inputs(node)[0]
    runs, size, width = len(x), node.size, node.format.width
    nonzero = np.count_nonzero(x)
    tally.add("multiply", "squares", (width, width), 64, x.size, nonzero)
    tally.add("add", "sums", (64, 64), 64, 2 * runs * (size - 1))
    tally.add("multiply", "variance", (64, 64), 64, 2 * runs)
    tally.add("add", "variance", (64, 64), 64, 2 * runs)
    tally.add("root", "deviation", (64, 0), 64, runs)
    tally.add("multiply", "centre", (size.bit_length() + 1, width), 64, x.size, nonzero)
    tally.add("add", "centre", (64, 64), 64, x.size)
    if node.gamma.size:
        centred = size * x - x.sum(axis=1, keepdims=True)
        width = int(np.abs(node.gamma).max()).bit_length() + 1
        tally.add("multiply", "gamma", (width, 64), 64, x.size, np.count_nonzero((centred != 0) & (node.gamma != 0)))
    if node.beta.size:
        width = int(np.abs(node.beta).max()).bit_length() + 1
        tally.add("multiply", "beta", (width, 64), 64, x.size, runs * np.count_nonzero(node.beta))
        tally.add("add", "beta", (64, 64), 64, x.size)
    tally.add("divide", "quotient", (64, 64), node.output.width, x.size)
    read_fixed(tally, node.whole_bits, runs)


def read_fixed(tally: Tally, bits: int, runs: int) -> None:
    """Parameters that are read in full at each run."""
    tally.move(weights=bits * runs, weights_dense=bits * runs)


COUNTERS: dict[type[Node], NodeCounter] = {
    Add: add,
    BatchNorm: batch_norm,
    Embedding: embedding,
    LayerNorm: layer_norm,
    Linear: linear,
    Lookup: lookup,
    Multiply: multiply,
}
