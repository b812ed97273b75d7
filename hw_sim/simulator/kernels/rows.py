"""Sums of the rows of a matrix that spikes pick out, in LLVM's own vectors of 16 bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compiled import kernel
from ..vectors import LANES, load, splat, store
from ..vectors.native import resized
from ..vectors.registers import REGISTER_BITS

WIDTH = REGISTER_BITS // 16
"""16-bit sums in a register."""
COLUMNS = 6
"""Registers of sums at a time."""
BLOCK = 32
"""Rows are padded to a multiple of this: whole registers of 16 bits, wherever."""


def summed(columns: int) -> Callable[..., None]:
    """``summed(matrix, w, stride, places, p, count, accs, a)``: adds rows to ``accs`` from a on.

    The rows of ``matrix`` (int8 or int16, from w on, ``stride`` apart) at ``places[p : p + count]``, whose sum fits 16
    bits; of each the first ``columns`` registers of 16 bits.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

        def plain(matrix, w, stride, places, p, count, accs, a):
            size = columns * WIDTH
            for row in places[p : p + count]:
                place = w + row * stride
                accs[a : a + size] += matrix[place : place + size]

        return plain

    @intrinsic
    def native(typingctx, matrix, w, stride, places, p, count, accs, a):
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            i64, entry, last = ir.IntType(64), ir.IntType(matrix.dtype.bitwidth), ir.IntType(accs.dtype.bitwidth)
            held, sums, stored = (ir.VectorType(kind, WIDTH) for kind in (ir.IntType(16), last, entry))
            rows, listed, totals = (
                builder.gep(context.make_array(sig.args[which])(context, builder, args[which]).data, [args[at]])
                for which, at in ((0, 1), (3, 4), (6, 7))
            )
            registers = [cgutils.alloca_once_value(builder, ir.Constant(held, [0] * WIDTH)) for _ in range(columns)]
            with cgutils.for_range(builder, args[5]) as loop:
                number = resized(builder, builder.load(builder.gep(listed, [loop.index])), i64)
                row = builder.mul(number, args[2])
                for column, register in enumerate(registers):
                    place = builder.gep(rows, [builder.add(row, i64(column * WIDTH))])
                    read = builder.load(builder.bitcast(place, stored.as_pointer()), align=entry.width // 8)
                    builder.store(builder.add(builder.load(register), resized(builder, read, held)), register)
            for column, register in enumerate(registers):
                place = builder.bitcast(builder.gep(totals, [i64(column * WIDTH)]), sums.as_pointer())
                more = resized(builder, builder.load(register), sums)
                builder.store(builder.add(builder.load(place, align=last.width // 8), more), place, last.width // 8)
            return context.get_dummy_value()

        given = [types.int64] * 8
        given[0], given[3], given[6] = matrix, places, accs
        return types.void(*given), codegen

    return native


several, one = summed(COLUMNS), summed(1)


@kernel
def add_rows(matrix, w, stride, places, p, count, group, accs, a):
    """``accs[a : a + stride]`` plus the rows of ``matrix`` at ``places[p : p + count]``, ``group`` of them at a time:
    as many as a 16-bit sum holds. ``stride`` is a multiple of BLOCK.
    """
    for n in range(0, count, group):
        some, c = min(group, count - n), 0
        while stride - c >= COLUMNS * WIDTH:
            several(matrix, w + c, stride, places, p + n, some, accs, a + c)
            c += COLUMNS * WIDTH
        while c < stride:
            one(matrix, w + c, stride, places, p + n, some, accs, a + c)
            c += WIDTH


@kernel
def add_long_rows(matrix, w, stride, places, p, count, accs, a):
    """``add_rows`` in the type of the sums."""
    for r in range(0, stride, LANES):
        total = load(accs, a + r, accs)
        for n in range(count):
            total = total + load(matrix, w + places[p + n] * stride + r, accs)
        store(accs, a + r, total, LANES)


@kernel
def add_scaled_rows(matrix, w, stride, places, p, count, x, u, accs, a):
    """``accs`` plus ``x_i`` times row i for every i in ``places[p : p + count]``; inputs from u on."""
    for r in range(0, stride, LANES):
        total = load(accs, a + r, accs)
        for n in range(count):
            i = places[p + n]
            total = total + load(matrix, w + i * stride + r, accs) * splat(x[u + i], accs)
        store(accs, a + r, total, LANES)
