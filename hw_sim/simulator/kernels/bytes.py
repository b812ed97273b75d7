"""Products of 8-bit weights and 8-bit inputs, four of them added to a 32-bit sum by one instruction, vpdpbusd.

The instruction takes unsigned inputs: signed ones go up by 128, and sums start at -128 times the sum of their weights.
It wraps, so that sums are exact wherever they fit at the end. Weights (O, K) are packed as (O / L, K / 4, L, 4), L
32-bit numbers a register, with zeros behind K and O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from ..compiled import kernel
from ..vectors import load, splat, store
from ..vectors.native import spread
from ..vectors.plain import LANES
from ..vectors.registers import MULTIPLIES_BYTES

QUAD = 4
"""Products that one instruction adds to a sum."""
ROWS, COLUMNS, FEWER = 4, 6, 3
"""The tile, as in tiles.py: rows of inputs, registers of outputs, and of these where COLUMNS are not left."""
MULTIPLY = "llvm.x86.avx512.vpdpbusd.512"


def packed_bytes(weight: np.ndarray) -> np.ndarray:
    """Weights (O, K) of up to 8 bits as `byte_products` takes them, flat; int64."""
    out, size = weight.shape
    full = np.zeros((-(-out // LANES) * LANES, -(-size // QUAD) * QUAD), dtype=np.int64)
    full[:out, :size] = weight
    blocks = full.reshape(full.shape[0] // LANES, LANES, full.shape[1] // QUAD, QUAD)
    return blocks.transpose(0, 2, 1, 3).ravel()


def starts_of(weight: np.ndarray, offset: int) -> np.ndarray:
    """``offset`` in a vector, then where the sums start of inputs that are larger by it; int64."""
    sums = -offset * weight.astype(np.int64).sum(axis=1)
    return np.concatenate([np.full(LANES, offset), np.pad(sums, (0, -len(sums) % LANES))])


def build(
    builder: Any, shape: tuple[int, int], pointers: tuple[Any, Any, Any, Any], sizes: tuple[Any, Any, Any]
) -> None:
    """The instructions of a tile of ``shape``: sums[m, n] = starts[n] + sum_k inputs[m, k] weights[n, k].

    ``pointers``: to weights and inputs (bytes), starts and sums (int32). ``sizes``: inputs by four; entries from a row
    to the next one, of inputs and of sums.
    """
    i8, i32, i64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
    sums, entries = ir.VectorType(i32, LANES), ir.VectorType(i8, QUAD * LANES)
    (weights, inputs, starts, totals), (quads, input_step, sum_step) = pointers, sizes
    multiply = cgutils.get_or_insert_function(builder.module, ir.FunctionType(sums, [sums, entries, entries]), MULTIPLY)
    rows, columns = shape
    held = {}
    for n in range(columns):
        start = builder.load(builder.bitcast(builder.gep(starts, [i64(n * LANES)]), sums.as_pointer()), align=4)
        held |= {(m, n): cgutils.alloca_once_value(builder, start) for m in range(rows)}
    with cgutils.for_range(builder, quads) as loop:
        factors = []
        for n in range(columns):
            at = builder.mul(builder.add(builder.mul(quads, i64(n)), loop.index), i64(QUAD * LANES))
            place = builder.bitcast(builder.gep(weights, [at]), entries.as_pointer())
            factors.append(builder.load(place, align=1))
        for m in range(rows):
            at = builder.add(builder.mul(input_step, i64(m)), builder.mul(loop.index, i64(QUAD)))
            four = builder.load(builder.bitcast(builder.gep(inputs, [at]), i32.as_pointer()), align=1)
            x = builder.bitcast(spread(builder, four), entries)
            for n in range(columns):
                more = builder.call(multiply, [builder.load(held[m, n]), x, factors[n]])
                builder.store(more, held[m, n])
    for (m, n), register in held.items():
        at = builder.add(builder.mul(sum_step, i64(m)), i64(n * LANES))
        builder.store(builder.load(register), builder.bitcast(builder.gep(totals, [at]), sums.as_pointer()), align=4)


def tile(rows: int, columns: int) -> Callable[..., None]:
    """``tile(codes, w, u, step, starts, accs, a, stride, quads)``: sums in ``accs`` from a on, rows ``stride`` apart.

    Weights and inputs are bytes of ``codes``, from w and from u on, rows of inputs ``step`` apart; sums start at what
    ``accs`` holds from ``starts`` on.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

        def plain(codes, w, u, step, starts, accs, a, stride, quads):
            blocks = codes[w : w + columns * quads * LANES * QUAD].reshape(columns, quads, LANES, QUAD).astype(np.int32)
            first = accs[starts : starts + columns * LANES].copy()
            for m in range(rows):
                row = codes[u + m * step : u + m * step + QUAD * quads].view(np.uint8).astype(np.int32)
                sums = np.einsum("nklp,kp->nl", blocks, row.reshape(quads, QUAD)).ravel()
                accs[a + m * stride : a + m * stride + columns * LANES] = first + sums

        return plain

    @intrinsic
    def native(typingctx, codes, w, u, step, starts, accs, a, stride, quads):
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            bytes_, sums = (context.make_array(sig.args[at])(context, builder, args[at]).data for at in (0, 5))
            pointers = (
                *(builder.gep(bytes_, [args[at]]) for at in (1, 2)),
                *(builder.gep(sums, [args[at]]) for at in (4, 6)),
            )
            build(builder, (rows, columns), pointers, (args[8], args[3], args[7]))
            return context.get_dummy_value()

        places = [types.int64] * 9
        places[0], places[5] = codes, accs
        return types.void(*places), codegen

    return native


whole, part, narrow = tile(ROWS, COLUMNS), tile(ROWS, FEWER), tile(ROWS, 1)
single, least = tile(1, COLUMNS), tile(1, 1)


@kernel
def some_bytes(codes, w, starts, x, u, size, rows, room, accs, a, stride):
    """`byte_products` where there are bytes."""
    quads, blocks = (size + QUAD - 1) // QUAD, stride // LANES
    offset, first = splat(accs[starts], x), starts + LANES
    block, place = LANES * quads * QUAD, 2 * room
    step = (size + LANES - 1) // LANES * LANES
    for m in range(rows):
        for k in range(0, size, LANES):
            store(codes, place + m * step + k, load(x, u + m * size + k, x) + offset, LANES)
    m = 0
    while rows - m >= ROWS:
        inputs, sums, n = place + m * step, a + m * stride, 0
        while blocks - n >= COLUMNS:
            whole(codes, w + n * block, inputs, step, first + n * LANES, accs, sums + n * LANES, stride, quads)
            n += COLUMNS
        while blocks - n >= FEWER:
            part(codes, w + n * block, inputs, step, first + n * LANES, accs, sums + n * LANES, stride, quads)
            n += FEWER
        while n < blocks:
            narrow(codes, w + n * block, inputs, step, first + n * LANES, accs, sums + n * LANES, stride, quads)
            n += 1
        m += ROWS
    while m < rows:
        inputs, sums, n = place + m * step, a + m * stride, 0
        while blocks - n >= COLUMNS:
            single(codes, w + n * block, inputs, step, first + n * LANES, accs, sums + n * LANES, stride, quads)
            n += COLUMNS
        while n < blocks:
            least(codes, w + n * block, inputs, step, first + n * LANES, accs, sums + n * LANES, stride, quads)
            n += 1
        m += 1


@kernel
def no_bytes(codes, w, starts, x, u, size, rows, room, accs, a, stride):
    """Weights of more than 8 bits, sums of 64, and other CPUs have none."""


def byte_products(codes, w, starts, x, u, size, rows, room, accs, a, stride):
    """``accs[a + m stride :] = W x_m`` of up to ROWS rows of ``size`` inputs, one behind the other from u on.

    W lies in ``codes`` from w on, packed; `starts_of` are in ``accs`` from ``starts`` on; ``room`` is scratch in ``x``,
    of which ``codes`` are the bytes.
    """
    function = some_bytes if MULTIPLIES_BYTES and codes.dtype == np.int8 and accs.dtype == np.int32 else no_bytes
    function(codes, w, starts, x, u, size, rows, room, accs, a, stride)


@overload(byte_products)
def _typed(codes, w, starts, x, u, size, rows, room, accs, a, stride):
    there = MULTIPLIES_BYTES and codes.dtype == types.int8 and accs.dtype == types.int32
    function = some_bytes if there else no_bytes  # a CPU without the instruction cannot compile it

    def chosen(codes, w, starts, x, u, size, rows, room, accs, a, stride):
        function(codes, w, starts, x, u, size, rows, room, accs, a, stride)

    return chosen
