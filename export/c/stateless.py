"""Nodes that keep no state."""

from __future__ import annotations

import numpy as np

from ...program.nodes import Add, BatchNorm, Embedding, LayerNorm, Linear, Lookup, Multiply, Node
from .block import Block, Emitter, rounded
from .sums import Product, exact_sum, pack, packed_bits
from .types import U8, CType, literal, of_bound, of_width


def embedding(block: Block, node: Embedding) -> None:
    """A row of the table, brought to the output's format."""
    x, y = block.read(), block.output()
    register = of_bound(max(node.bounds().values()))
    bits = packed_bits(node.table_width) if block.kept.pack else 0
    codes = pack(node.table, bits) if bits else node.table
    kind = U8 if bits else of_width(node.table_width)
    table, step = block.table("table", codes, kind), codes.shape[1]
    block.say(f"const {kind} *const row = {table} + (size_t){x}[0] * {step};")
    code = f"{block.call(f'code{bits}')}(row, i)" if bits else "row[i]"
    value = rounded(f"({register}){code}", node.shift)
    block.loop(node.channels, f"{y}[i] = {block.stored(value, node.output, register, y.ctype)};")


def linear(block: Block, node: Linear) -> None:
    """One exact sum a row, rounded once."""
    bound = max(node.bounds().values())
    register = of_bound(bound)
    operands = zip(node.weights, node.weight_widths, node.formats, node.operand_shifts, strict=True)
    products = [
        Product(f"w{i}", weight, width, block.read(i, f"x{i}"), format, shift, counts=block.counts(i))
        for i, (weight, width, format, shift) in enumerate(operands)
    ]
    wide = node.output.width > register.bits  # logits: unrounded sums, which the bound keeps in the register
    y = block.output(ctype=register if wide else None)
    right = block.shifted_right("right", node.output_shift, register)
    exact_sum(
        block,
        register,
        node.bias,
        products,
        lambda total, r: [f"{y}[{r}] = {block.stored(right(total, r), node.output, register, y.ctype)};"],
    )


def lookup(block: Block, node: Lookup) -> None:
    """A table over all codes."""
    x, y = block.read(), block.output()
    table = block.table("table", node.table, y.ctype)
    index = f"{x}[i]" if node.format.min == 0 else f"{x}[i] + {-node.format.min}"
    block.loop(node.size, f"{y}[i] = {table}[{index}];")


def multiply(block: Block, node: Multiply) -> None:
    """The product of two channels, rounded once."""
    register = of_bound(max(node.bounds().values()))
    a, b, y = block.read(0, "a"), block.read(1, "b"), block.output()
    value = rounded(f"({register}){a}[i] * ({register}){b}[i]", node.shift)
    block.loop(node.size, f"{y}[i] = {block.stored(value, node.output, register, y.ctype)};")


def add(block: Block, node: Add) -> None:
    """The exact sum of channels, rounded once."""
    register = of_bound(max(node.bounds().values()))
    sources = [block.read(i, f"x{i}") for i in range(len(node.inputs))]
    y = block.output()
    terms = [
        block.shifted_left("shift", shift, register)(f"({register}){x}[i]", "i")
        for x, shift in zip(sources, node.operand_shifts, strict=True)
    ]
    value = rounded(" + ".join(terms), node.output_shift)
    block.loop(node.size, f"{y}[i] = {block.stored(value, node.output, register, y.ctype)};")


def batch_norm(block: Block, node: BatchNorm) -> None:
    """An affine map a channel."""
    register = of_bound(max(node.bounds().values()))
    x, y = block.read(), block.output()
    multiplier, bias = block.each("multiplier", node.multiplier), block.each("bias", node.bias)
    right = block.shifted_right("shift", node.shift, register)
    value = right(f"({register}){multiplier('i')} * ({register}){x}[i] + {bias('i')}", "i")
    block.loop(node.channels, f"{y}[i] = {block.stored(value, node.output, register, y.ctype)};")


def layer_norm(block: Block, node: LayerNorm) -> None:
    """Deviations from the mean over the root of the variance, by one division a channel."""
    bounds, size = node.bounds(), node.size
    a, b, c = node.shifts
    deviation = 4 * size * node.format.magnitude << a  # which gamma may multiply by 0
    spread, register = of_bound(bounds["the variance"]), of_bound(max(bounds["the quotient"], deviation))
    x, y = block.read(), block.output()
    block.say(f"{spread} total = 0, squares = 0;")
    block.loop(size, f"const {spread} v = {x}[i];", "total += v;", "squares += v * v;")
    variance = f"{size} * squares - total * total + {literal(node.epsilon)}"
    root = _power(f"{block.call(f'root{spread.bits}')}({_power(variance, 2 * node.root_shift)})", 0)
    block.say(f"const {register} root = {_cast(register, spread, root)};")
    block.say(f"const {register} below = {_power('root', c)};")
    numerator = _power(f"{size} * ({register}){x}[i] - {_cast(register, spread, 'total')}", a)
    if node.gamma.size:
        numerator = f"({numerator}) * {block.each('gamma', node.gamma)('i')}"
    if np.any(node.beta):
        numerator += f" + ({register}){block.each('beta', node.beta)('i')} * ({_power('root', b)})"
    value = f"{block.call(f'divide{register.bits}')}({numerator}, below)"
    block.loop(size, f"{y}[i] = {block.stored(value, node.output, register, y.ctype)};")


def _power(value: str, shift: int) -> str:
    return f"({value}) * {literal(1 << shift)}" if shift else value


def _cast(wanted: CType, has: CType, value: str) -> str:
    return value if wanted == has else f"({wanted}){value}"


EMITTERS: dict[type[Node], Emitter] = {
    Add: add,
    BatchNorm: batch_norm,
    Embedding: embedding,
    LayerNorm: layer_norm,
    Linear: linear,
    Lookup: lookup,
    Multiply: multiply,
}
