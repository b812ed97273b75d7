"""Products of matrices that are zero for the most part, of many rows of inputs at a time.

A weight is multiplied with one input of LANES rows at once: inputs are turned so that a vector holds a column of them,
sums are turned back. Two weights of an output go together, pairs of 16-bit products added to 32-bit sums as in `tiles`.

A matrix (O, K) lies among 32-bit sums: (O + 1,) places, counted from its start, where what each output has begins, and
where the last ends; then by pair of weights, three numbers: LANES times the input of each, and both as 16-bit halves.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from ..compiled import kernel
from ..vectors.plain import LANES
from .bytes import byte_products
from .products import products
from .tiles import PAIR, ROWS

FIELDS = PAIR + 1
"""Numbers of a pair."""
WORTH = 8
"""Rows from which on it takes less time: it takes as long for one as for LANES."""
I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)


def is_thin(weight: np.ndarray) -> bool:
    """Whether a matrix (O, K) has so few weights that pairs of them are a fifth of its entries at most."""
    pairs = -(-np.count_nonzero(weight, axis=1) // PAIR)
    return 5 * PAIR * int(pairs.sum()) <= weight.size


def packed_thin(weight: np.ndarray) -> np.ndarray:
    """Weights (O, K) of up to 16 bits, as `thin_products` takes them; int64."""
    out = -(-len(weight) // LANES) * LANES
    starts, pairs = [out + 1], list[int]()
    for row in weight.tolist():
        kept = [(LANES * k, code) for k, code in enumerate(row) if code] + [(0, 0)]
        for (first, low), (second, high) in zip(kept[:-1:PAIR], kept[1::PAIR], strict=True):
            pairs += [first, second, (high << 16) + (low & 0xFFFF)]
        starts.append(out + 1 + len(pairs))
    starts += [starts[-1]] * (out + 1 - len(starts))
    return np.array(starts + pairs, dtype=np.int64)


def turned_round(builder: Any, rows: list[Any]) -> list[Any]:
    """LANES vectors whose entry m of vector k is entry k of vector m of ``rows``: halves are mixed again and again."""
    half = LANES // 2
    sides = [
        ir.Constant(ir.VectorType(I32, LANES), [at for i in range(start, start + half) for at in (i, LANES + i)])
        for start in (0, half)
    ]
    for _ in range(half.bit_length()):
        rows = [builder.shuffle_vector(rows[i], rows[i + half], side) for i in range(half) for side in sides]
    return rows


def sum_of_pairs(builder: Any, pairs: Any, ends: tuple[Any, Any], inputs: Any) -> Any:
    """The sum (LANES,) of the products of an output, in a variable: of pairs between two places."""
    sums, halves = ir.VectorType(I32, LANES), ir.VectorType(I16, PAIR * LANES)
    column, products_ = ir.VectorType(I16, LANES), ir.VectorType(I32, PAIR * LANES)
    nothing, nowhere = ir.Constant(products_, ir.Undefined), ir.Constant(sums, ir.Undefined)
    mixed = ir.Constant(products_, [at for lane in range(LANES) for at in (lane, LANES + lane)])
    even, odd = (ir.Constant(sums, [PAIR * lane + first for lane in range(LANES)]) for first in range(PAIR))
    held = cgutils.alloca_once_value(builder, ir.Constant(sums, [0] * LANES))
    with cgutils.for_range_slice(builder, *ends, I64(FIELDS)) as (at, _):
        first, second, both = (builder.load(builder.gep(pairs, [builder.add(at, I64(n))])) for n in range(FIELDS))
        columns = [
            builder.load(builder.bitcast(builder.gep(inputs, [builder.sext(k, I64)]), column.as_pointer()), align=2)
            for k in (first, second)
        ]
        everywhere = builder.shuffle_vector(
            builder.insert_element(nowhere, both, I32(0)), nowhere, ir.Constant(sums, [0] * LANES)
        )
        factors = builder.sext(builder.bitcast(everywhere, halves), products_)
        product = builder.mul(builder.sext(builder.shuffle_vector(*columns, mixed), products_), factors)
        added = [builder.shuffle_vector(product, nothing, side) for side in (even, odd)]
        builder.store(builder.add(builder.load(held), builder.add(*added)), held)
    return held


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

    def turn(x, u, step, last, to, place):
        """``to[place + LANES k + m] = x[u + min(m, last) step + k]``, k and m below LANES."""
        rows = [x[u + min(m, last) * step :][:LANES] for m in range(LANES)]
        to[place : place + LANES * LANES] = np.stack(rows, axis=1).ravel()

    def sum_up(matrix, w, output, x, u, accs, a, stride):
        """``accs[a + m stride + n]``, n and m below LANES: sums of outputs from ``output`` on, inputs from u on."""
        for lane in range(LANES):
            start, end = matrix[w + output + lane : w + output + lane + 2].tolist()
            total = np.zeros(LANES, dtype=np.int32)
            for at in range(w + start, w + end, FIELDS):
                for k, code in zip(matrix[at : at + PAIR], matrix[at + PAIR : at + FIELDS].view(np.int16), strict=True):
                    total += x[u + k : u + k + LANES].astype(np.int32) * np.int32(code)
            accs[a + lane : a + lane + LANES * stride : stride] = total

else:

    @intrinsic
    def turn(typingctx: Any, x: Any, u: Any, step: Any, last: Any, to: Any, place: Any) -> Any:
        """``to[place + LANES k + m] = x[u + min(m, last) step + k]``, k and m below LANES."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            row, rows = ir.VectorType(I16, LANES), []
            source, target = (
                builder.gep(context.make_array(sig.args[which])(context, builder, args[which]).data, [args[which + 1]])
                for which in (0, 4)
            )
            for m in range(LANES):
                inside = builder.select(builder.icmp_signed("<", I64(m), args[3]), I64(m), args[3])
                at = builder.gep(source, [builder.mul(inside, args[2])])
                rows.append(builder.load(builder.bitcast(at, row.as_pointer()), align=2))
            for k, column in enumerate(turned_round(builder, rows)):
                builder.store(column, builder.bitcast(builder.gep(target, [I64(LANES * k)]), row.as_pointer()), align=2)
            return context.get_dummy_value()

        return types.void(x, types.int64, types.int64, types.int64, to, types.int64), codegen

    @intrinsic
    def sum_up(typingctx: Any, matrix: Any, w: Any, output: Any, x: Any, u: Any, accs: Any, a: Any, stride: Any) -> Any:
        """``accs[a + m stride + n]``, n and m below LANES: sums of outputs from ``output`` on, inputs from u on."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pairs, inputs, totals = (
                builder.gep(context.make_array(sig.args[which])(context, builder, args[which]).data, [args[at]])
                for which, at in ((0, 1), (3, 4), (5, 6))
            )
            first, row, sums = builder.gep(pairs, [args[2]]), ir.VectorType(I32, LANES), []
            for lane in range(LANES):
                ends = [builder.sext(builder.load(builder.gep(first, [I64(lane + n)])), I64) for n in range(2)]
                sums.append(sum_of_pairs(builder, pairs, (ends[0], ends[1]), inputs))
            for m, own in enumerate(turned_round(builder, [builder.load(each) for each in sums])):
                at = builder.bitcast(builder.gep(totals, [builder.mul(args[7], I64(m))]), row.as_pointer())
                builder.store(own, at, align=4)
            return context.get_dummy_value()

        places = [types.int64] * 8
        places[0], places[3], places[5] = matrix, x, accs
        return types.void(*places), codegen


@kernel
def short_thin(w, x, u, size, rows, room, accs, a, stride):
    """``thin_products`` in int32."""
    for k in range(0, size, LANES):
        turn(x, u + k, size, rows - 1, x, room + LANES * k)
    for r in range(0, stride, LANES):
        sum_up(accs, w, r, x, room, accs, a + r, stride)


@kernel
def no_thin(w, x, u, size, rows, room, accs, a, stride):
    """Of int64 sums no matrix is thin."""


def thin_products(w, x, u, size, rows, room, accs, a, stride):
    """``accs[a + m stride :] = W x_m`` of up to LANES rows of ``size`` inputs, one behind the other from u on.

    W lies in ``accs`` from w on; ``room`` is scratch in ``x``, LANES vectors for every LANES inputs. LANES rows of sums
    are written, whatever ``rows``.
    """
    (short_thin if accs.dtype == np.int32 else no_thin)(w, x, u, size, rows, room, accs, a, stride)


@overload(thin_products)
def _typed(w, x, u, size, rows, room, accs, a, stride):
    function = short_thin if accs.dtype == types.int32 else no_thin

    def chosen(w, x, u, size, rows, room, accs, a, stride):
        function(w, x, u, size, rows, room, accs, a, stride)

    return chosen


@kernel
def next_products(weights, w, thin, starts, room, x, edge, size, t, rows, accs, a, stride):
    """The sums of rows t to ``t + ROWS`` of an edge's ``rows``; t is a multiple of ROWS. Returns where they lie.

    ``thin``: the matrix once more, as `thin_products` takes it, or -1. LANES rows of sums from a on, ROWS without it.
    ``starts``: what `byte_products` starts from, where weights are packed for that, or -1.
    """
    held = t % LANES if thin >= 0 else 0
    if thin >= 0 and rows - t + held >= WORTH:
        if held == 0:
            thin_products(thin, x, edge + t * size, size, min(LANES, rows - t), room, accs, a, stride)
    elif starts >= 0:
        at, some = edge + t * size, min(ROWS, rows - t)
        byte_products(weights, w, starts, x, at, size, some, room, accs, a + held * stride, stride)
    else:
        products(weights, w, x, edge + t * size, size, min(ROWS, rows - t), accs, a + held * stride, stride)
    return a + held * stride
