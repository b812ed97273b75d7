"""Planning of nodes that keep no state; bodies in the order of operations/stateless.py."""

from __future__ import annotations

from typing import SupportsInt

import numpy as np

from ....program.bounds import I32_LIMIT, dot_bound, magnitudes
from ....program.nodes import Add, BatchNorm, LayerNorm, Linear, Lookup, Multiply, Node
from .. import opcodes as o
from ..arenas import A8, A16, A32, A64, fits_16
from ..kernels.lookups import in_bytes, packed_table
from ..vectors.plain import LANES
from ..vectors.registers import PERMUTES_BYTES
from .planner import NodePlanner, Planner, arena_for, left_shift, rounding

REGISTER = 1 << 31
"""What an int32 sum, whose bound is taken over everything that is added to it, has to stay below."""


def plan_linear(planner: Planner, node: Linear) -> None:
    """Narrow, wide, or mixed: int16 operands of which the sum alone needs int64."""
    wide = not fits_16(*node.formats, node.output) or max(node.weight_widths) > 16
    parts = None if wide else split(node)
    long = parts is None
    values, accs, size = arena_for(wide), planner.accs(long), -(-node.channels // LANES) * LANES
    weights = values if long or max(node.weight_widths) > 8 else A8
    late, first = parts or (frozenset(), np.zeros_like(node.output_shift))
    left, half, right = rounding(node.output_shift, long)
    start = np.left_shift(node.bias.astype(np.int64), left) + half
    body = [accs.put(start), accs.put(first), accs.put(right - first)]
    body += [planner.room, len(node.inputs), len(node.inputs) - len(late)]
    edges = [planner.edge(name, values) for name in node.inputs]
    for i in sorted(range(len(edges)), key=lambda i: i in late):
        edge, weight = edges[i], node.weights[i]
        shift = left_shift(node.operand_shifts[i] + left - (first if i in late else 0), long)
        if weight.ndim == 1:
            place = planner.put_bytes(weight) if weights == A8 else planner.values(wide).put(weight)
            thin, starts, products = -1, -1, -1
        else:
            place, starts = planner.put_weights(weight, weights, long, node.formats[i])
            thin, products = planner.put_thin(weight, size, long)
        body += [edge.offset, edge.channels, place, weight.ndim == 1, accs.put(shift), thin, starts, products]
    kind = o.IS_WIDE if wide else o.IS_MIXED if long else o.IS_NARROW
    out = planner.place(node, values)
    planner.emit(o.LINEAR, node, kind, edges[0], out, body, arenas=(values, weights, accs.number))


def split(node: Linear) -> tuple[frozenset[int], np.ndarray] | None:
    """Which operands join the sum late, behind a first shift to the right (out,) of the others, so that int32 does.

    ``floor((A + B 2**s) / 2**r) = floor((floor(A / 2**s) + B) / 2**(r - s))`` for s <= r: what every operand of B has
    been shifted left by need not be there when it is added. None where int32 does not do.
    """
    right, left = np.maximum(node.output_shift, 0).astype(object), np.maximum(-node.output_shift, 0).astype(object)
    shifts = [shift.astype(object) for shift in node.operand_shifts]
    sums = [dot_bound(weight, format.magnitude) for weight, format in zip(node.weights, node.formats, strict=True)]
    start = magnitudes(node.bias) * (1 << left) + ((1 << right) >> 1)
    shifted = frozenset(i for i, shift in enumerate(shifts) if shift.min() > 0)
    for late in (frozenset[int](), shifted):
        first = np.minimum.reduce([right, *(shifts[i] for i in late)]) if late else 0 * right
        early = start + sum(sums[i] * (1 << (shifts[i] + left)) for i in range(len(sums)) if i not in late)
        whole = (early >> first) + 1 + sum(sums[i] * (1 << (shifts[i] + left - first)) for i in late)
        if max(early) < REGISTER and max(whole) < REGISTER:
            return late, first.astype(np.int64)
    return None


def plan_lookup(planner: Planner, node: Lookup) -> None:
    """A table over the input's codes."""
    wide = not fits_16(node.format, node.output)
    values = arena_for(wide)
    source = planner.edge(node.inputs[0], values)
    short = in_bytes(node.table) if PERMUTES_BYTES and not wide else None
    body = [planner.values(wide).put(node.table), node.format.min]
    body += [-1, 0] if short is None else [planner.put_bytes(packed_table(node.table, node.format.min)), short]
    arenas = (A64, A64, A64) if wide else (A16, A8, A32)
    planner.emit(o.LOOKUP, node, wide, source, planner.place(node, values), body, arenas=arenas)


def plan_multiply(planner: Planner, node: Multiply) -> None:
    """The product of two edges."""
    wide = _is_wide(node)
    source, second = (planner.edge(name, arena_for(wide)) for name in node.inputs)
    body: list[SupportsInt] = [second.offset, *rounding(node.shift, wide)]
    planner.emit(o.MULTIPLY, node, wide, source, planner.place(node, arena_for(wide)), body)


def plan_add(planner: Planner, node: Add) -> None:
    """The sum of edges; int32 ones are taken as they are where the sum is."""
    arenas = [
        A16 if fits_16(format) else planner.arena_of(name)
        for name, format in zip(node.inputs, node.formats, strict=True)
    ]
    wide = A64 in arenas or not fits_16(node.output) or max(node.bounds().values()) >= I32_LIMIT
    arenas = [A64 if wide else arena for arena in arenas]
    edges = [planner.edge(name, arena) for name, arena in zip(node.inputs, arenas, strict=True)]
    body: list[SupportsInt] = [*rounding(node.output_shift, wide), len(edges)]
    for edge, arena, shift in zip(edges, arenas, node.operand_shifts, strict=True):
        body += [edge.offset, shift, arena == A32]
    planner.emit(o.ADD, node, wide, edges[0], planner.place(node, arena_for(wide)), body)


def plan_batch_norm(planner: Planner, node: BatchNorm) -> None:
    """A multiplier and a bias by channel."""
    wide = _is_wide(node) or node.multiplier_width > 16
    source = planner.edge(node.inputs[0], arena_for(wide))
    body = [planner.values(wide).put(node.multiplier), *planner.put_sum(node.bias, node.shift, wide)]
    planner.emit(o.BATCH_NORM, node, wide, source, planner.place(node, arena_for(wide)), body)


def plan_layer_norm(planner: Planner, node: LayerNorm) -> None:
    """Values may be int16; the arithmetic is int64."""
    wide = not fits_16(node.format, node.output)
    gamma, beta = (planner.a64.put(codes) if codes.size else -1 for codes in (node.gamma, node.beta))
    source = planner.edge(node.inputs[0], arena_for(wide))
    body = [gamma, beta, *node.shifts, node.root_shift, node.epsilon]
    planner.emit(o.LAYER_NORM, node, wide, source, planner.place(node, arena_for(wide)), body)


def _is_wide(node: Multiply | BatchNorm) -> bool:
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
