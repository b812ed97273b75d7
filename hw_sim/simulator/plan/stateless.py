"""Planning of nodes that keep no state; bodies in the order of operations/stateless.py."""

from __future__ import annotations

from typing import SupportsInt

from ....program.bounds import I32_LIMIT
from ....program.nodes import Add, BatchNorm, LayerNorm, Linear, Lookup, Multiply, Node
from .. import opcodes as o
from ..arenas import fits_16
from .planner import NodePlanner, Planner, left_shift, rounding


def plan_linear(planner: Planner, node: Linear) -> None:
    """Narrow, wide, or mixed: int16 operands of which the sum alone needs int64."""
    wide = not fits_16(*node.formats, node.output) or max(node.weight_widths) > 16
    long = wide or max(node.bounds().values()) >= I32_LIMIT
    values, accs = planner.values(wide), planner.accs(long)
    operands = [planner.edge(name, wide) for name in node.inputs]
    body = [accs.put(node.bias), *planner.put_shifts(node.output_shift, long), accs.reserve(node.channels)]
    body.append(len(operands))
    for edge, weight, shift in zip(operands, node.weights, node.operand_shifts, strict=True):
        diagonal = weight.ndim == 1
        body += [edge.offset, edge.channels, values.put(weight), diagonal, accs.put(left_shift(shift, long))]
    kind = o.IS_WIDE if wide else o.IS_MIXED if long else o.IS_NARROW
    planner.emit(o.LINEAR, node, kind, operands[0], planner.place(node, wide), body)


def plan_lookup(planner: Planner, node: Lookup) -> None:
    """A table over the input's codes."""
    wide = not fits_16(node.format, node.output)
    source = planner.edge(node.inputs[0], wide)
    body = [planner.values(wide).put(node.table), node.format.min]
    planner.emit(o.LOOKUP, node, wide, source, planner.place(node, wide), body)


def plan_multiply(planner: Planner, node: Multiply) -> None:
    """The product of two edges."""
    wide = _is_wide(node)
    source, second = (planner.edge(name, wide) for name in node.inputs)
    body: list[SupportsInt] = [second.offset, *rounding(node.shift, wide)]
    planner.emit(o.MULTIPLY, node, wide, source, planner.place(node, wide), body)


def plan_add(planner: Planner, node: Add) -> None:
    """The sum of edges."""
    wide = _is_wide(node)
    operands = [planner.edge(name, wide) for name in node.inputs]
    body: list[SupportsInt] = [*rounding(node.output_shift, wide), planner.accs(wide).reserve(node.size), len(operands)]
    for edge, shift in zip(operands, node.operand_shifts, strict=True):
        body += [edge.offset, shift]
    planner.emit(o.ADD, node, wide, operands[0], planner.place(node, wide), body)


def plan_batch_norm(planner: Planner, node: BatchNorm) -> None:
    """A multiplier and a bias by channel."""
    wide = _is_wide(node) or node.multiplier_width > 16
    accs, source = planner.accs(wide), planner.edge(node.inputs[0], wide)
    body = [planner.values(wide).put(node.multiplier), accs.put(node.bias), *planner.put_shifts(node.shift, wide)]
    body += [accs.reserve(node.channels), accs.reserve(node.channels)]
    planner.emit(o.BATCH_NORM, node, wide, source, planner.place(node, wide), body)


def plan_layer_norm(planner: Planner, node: LayerNorm) -> None:
    """Values may be int16; the arithmetic is int64."""
    wide = not fits_16(node.format, node.output)
    gamma, beta = planner.a64.put(node.gamma), planner.a64.put(node.beta)
    source = planner.edge(node.inputs[0], wide)
    body = [gamma, node.gamma.size, beta, node.beta.size, *node.shifts, node.root_shift, node.epsilon]
    planner.emit(o.LAYER_NORM, node, wide, source, planner.place(node, wide), body)


def _is_wide(node: Multiply | Add | BatchNorm) -> bool:
    return not fits_16(*node.input_formats, node.output) or max(node.bounds().values()) >= I32_LIMIT


FUNCTIONS: dict[type[Node], NodePlanner] = {
    Add: plan_add,
    BatchNorm: plan_batch_norm,
    LayerNorm: plan_layer_norm,
    Linear: plan_linear,
    Lookup: plan_lookup,
    Multiply: plan_multiply,
}
"""An Embedding is always a table by token."""
