"""Tables of 256 bytes that lie in registers: 64 codes are looked up by two instructions, vpermi2b, and a choice."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from ..compiled import kernel
from ..vectors.native import spread
from ..vectors.registers import PERMUTES_BYTES

MANY = 64
"""Codes that are looked up at once."""
ENTRIES = 1 << 8
PERMUTE = "llvm.x86.avx512.vpermi2var.qi.512"


def in_bytes(table: np.ndarray) -> int | None:
    """The bits of an int16 that count of entries (N,), once a byte's sign is spread; None where the table
    does not lie in bytes."""
    low, high = int(table.min()), int(table.max())
    if table.size != ENTRIES or not (0 <= low <= high < ENTRIES or -ENTRIES <= 2 * low <= 2 * high < ENTRIES):
        return None
    return -1 if low < 0 else ENTRIES - 1


def packed_table(table: np.ndarray, lowest: int) -> np.ndarray:
    """Entries (256,), of which the first is that of code ``lowest``, in the order of the codes' last 8 bits."""
    return np.roll(table, lowest)


def build(builder: Any, table: Any, source: Any, target: Any, kept: Any) -> None:
    """The instructions for MANY codes; pointers to bytes, to codes and to where what is found goes, both int16, and the
    bits (int16) of an entry that count once its sign is spread."""
    i8, i16, i64 = ir.IntType(8), ir.IntType(16), ir.IntType(64)
    entries, wide = ir.VectorType(i8, MANY), ir.VectorType(i16, MANY)
    kind = ir.FunctionType(entries, [entries, entries, entries])
    permute = cgutils.get_or_insert_function(builder.module, kind, PERMUTE)
    quarters = [
        builder.load(builder.bitcast(builder.gep(table, [i64(at)]), entries.as_pointer()), align=1)
        for at in range(0, ENTRIES, MANY)
    ]
    codes = builder.trunc(builder.load(builder.bitcast(source, wide.as_pointer()), align=2), entries)
    low, high = (builder.call(permute, [quarters[at], codes, quarters[at + 1]]) for at in (0, 2))
    found = builder.select(builder.icmp_signed("<", codes, ir.Constant(entries, [0] * MANY)), high, low)
    result = builder.and_(builder.sext(found, wide), spread(builder, builder.trunc(kept, i16), MANY))
    builder.store(result, builder.bitcast(target, wide.as_pointer()), align=2)


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

    def look_up_many(table, t, values, at, to, kept):
        """``values[to + i] = table[t + last 8 bits of values[at + i]] & kept`` for i below MANY, all int16."""
        codes = values[at : at + MANY].astype(np.int64) & (ENTRIES - 1)
        values[to : to + MANY] = table[t : t + ENTRIES].astype(np.int16)[codes] & np.int16(kept)

else:

    @intrinsic
    def look_up_many(typingctx: Any, table: Any, t: Any, values: Any, at: Any, to: Any, kept: Any) -> Any:
        """``values[to + i] = table[t + last 8 bits of values[at + i]] & kept`` for i below MANY, all int16."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            entries, rows = (
                context.make_array(sig.args[which])(context, builder, args[which]).data for which in (0, 2)
            )
            source, target = (builder.gep(rows, [args[which]]) for which in (3, 4))
            build(builder, builder.gep(entries, [args[1]]), source, target, args[5])
            return context.get_dummy_value()

        return types.void(table, types.int64, values, types.int64, types.int64, types.int64), codegen


@kernel
def some_by_bytes(codes, t, values, source, out, size, kept):
    """`many_by_bytes` of int16."""
    for i in range(0, size - MANY + 1, MANY):
        look_up_many(codes, t, values, source + i, out + i, kept)
    return size // MANY * MANY


@kernel
def none_by_bytes(codes, t, values, source, out, size, kept):
    """Values of 64 bits are looked up in tables of these, those of other CPUs one by one."""
    return 0


def many_by_bytes(codes, t, values, source, out, size, kept):
    """Look up the first of ``size`` values, MANY at a time, in a packed table from t on; returns how many those are."""
    function = some_by_bytes if PERMUTES_BYTES and values.dtype == np.int16 else none_by_bytes
    return function(codes, t, values, source, out, size, kept)


@overload(many_by_bytes)
def _typed(codes, t, values, source, out, size, kept):
    there = PERMUTES_BYTES and values.dtype == types.int16
    function = some_by_bytes if there else none_by_bytes  # a CPU without the instruction cannot compile it

    def chosen(codes, t, values, source, out, size, kept):
        return function(codes, t, values, source, out, size, kept)

    return chosen
