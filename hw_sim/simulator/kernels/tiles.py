"""Tiles of integer matrix products, in LLVM's own vectors: what is multiplied stays in registers.

`tile` makes a function that sums the products of a few rows of inputs and the weights of a few blocks of outputs. It
names no instruction of any processor; what it says, pairs of 16-bit products added to 32-bit sums, compilers know as
pmaddwd and vpdpwssd on x86 and as smull and addp on ARM. The width of the registers and the shape of the tile are its
only parameters.

Weights (O, K) are packed as (O / L, K / 2, L, 2), L 32-bit numbers a register: what a register holds is used in one
multiplication. K is filled up to pairs, O to whole vectors, with zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..vectors.plain import LANES
from ..vectors.registers import REGISTER_BITS

PAIR = 2
"""Products that are added before they meet the sum."""


WIDTH = REGISTER_BITS // 32
"""32-bit sums in a register."""
ROWS, COLUMNS = 4, 6 if REGISTER_BITS == 512 else 3
"""The tile: rows of inputs, registers of outputs. Its sums, weights and one input fill the registers that there are."""
FEWER = 3
"""Registers of outputs where COLUMNS are not left."""


def packed(weight: np.ndarray) -> np.ndarray:
    """Weights (O, K) as tiles take them, flat; int64."""
    out, size = weight.shape
    full = np.zeros((-(-out // LANES) * LANES, -(-size // PAIR) * PAIR), dtype=np.int64)
    full[:out, :size] = weight
    blocks = full.reshape(full.shape[0] // WIDTH, WIDTH, full.shape[1] // PAIR, PAIR)
    return blocks.transpose(0, 2, 1, 3).ravel()


def build(
    builder: Any,
    shape: tuple[int, int],
    width: int,
    pointers: tuple[Any, Any, Any],
    sizes: tuple[Any, Any, Any],
    entry: ir.Type,
) -> None:
    """The instructions of a tile of ``shape``: sums[m, n] = sum_k inputs[m, k] weights[n, k].

    ``pointers``: to weights of type ``entry``, inputs (int16), sums (int32). ``sizes``: pairs of inputs; entries from a
    row to the next one, of inputs and of sums.
    """
    i16, i32, i64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
    sums, halves = ir.VectorType(i32, width), ir.VectorType(i16, PAIR * width)
    products, stored = ir.VectorType(i32, PAIR * width), ir.VectorType(entry, PAIR * width)
    (weights, inputs, totals), (pairs, input_step, sum_step) = pointers, sizes
    nothing, nowhere = ir.Constant(products, ir.Undefined), ir.Constant(sums, ir.Undefined)
    even, odd = (ir.Constant(sums, [PAIR * lane + first for lane in range(width)]) for first in range(PAIR))
    rows, columns = shape

    def sum_at(m: int, n: int) -> Any:
        at = builder.add(builder.mul(sum_step, i64(m)), i64(n * width))
        return builder.bitcast(builder.gep(totals, [at]), sums.as_pointer())

    places = [(m, n) for m in range(rows) for n in range(columns)]
    held = {at: cgutils.alloca_once_value(builder, ir.Constant(sums, [0] * width)) for at in places}
    with cgutils.for_range(builder, pairs) as loop:
        factors = []
        for n in range(columns):
            at = builder.mul(builder.add(builder.mul(pairs, i64(n)), loop.index), i64(PAIR * width))
            register = builder.bitcast(builder.gep(weights, [at]), stored.as_pointer())
            factors.append(builder.sext(builder.load(register, align=entry.width // 8), products))
        for m in range(rows):
            at = builder.add(builder.mul(input_step, i64(m)), builder.mul(loop.index, i64(PAIR)))
            pair = builder.load(builder.bitcast(builder.gep(inputs, [at]), i32.as_pointer()), align=2)
            everywhere = builder.shuffle_vector(
                builder.insert_element(nowhere, pair, i32(0)), nowhere, ir.Constant(sums, [0] * width)
            )
            x = builder.sext(builder.bitcast(everywhere, halves), products)
            for n in range(columns):
                product = builder.mul(x, factors[n])
                both = [builder.shuffle_vector(product, nothing, side) for side in (even, odd)]
                builder.store(builder.add(builder.load(held[m, n]), builder.add(*both)), held[m, n])
    for at in places:
        builder.store(builder.load(held[at]), sum_at(*at), align=4)


def tile(rows: int, columns: int) -> Callable[..., None]:
    """``tile(weights, w, x, u, step, accs, a, stride, pairs)``: sums in ``accs`` from a on, rows ``stride`` apart.

    Weights are int8 or int16 from w on; inputs are rows of ``x``, int16, from u on, ``step`` apart.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

        def plain(weights, w, x, u, step, accs, a, stride, pairs):
            size = columns * pairs * WIDTH * PAIR
            blocks = weights[w : w + size].reshape(columns, pairs, WIDTH, PAIR).astype(np.int32)
            for m in range(rows):
                row = x[u + m * step : u + m * step + PAIR * pairs].reshape(pairs, PAIR).astype(np.int32)
                place = a + m * stride
                accs[place : place + columns * WIDTH] = np.einsum("nklp,kp->nl", blocks, row).ravel()

        return plain

    @intrinsic
    def native(typingctx, weights, w, x, u, step, accs, a, stride, pairs):
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointers = tuple(
                builder.gep(context.make_array(sig.args[which])(context, builder, args[which]).data, [args[which + 1]])
                for which in (0, 2, 5)
            )
            sizes = args[8], args[4], args[7]
            build(builder, (rows, columns), WIDTH, pointers, sizes, ir.IntType(weights.dtype.bitwidth))
            return context.get_dummy_value()

        places = [types.int64] * 9
        places[0], places[2], places[5] = weights, x, accs
        return types.void(*places), codegen

    return native


whole, part, narrow = tile(ROWS, COLUMNS), tile(ROWS, FEWER), tile(ROWS, 1)
single, least = tile(1, 2 * FEWER), tile(1, 1)
