"""CPU time of the simulator's integer matrix products, against the rate of 16-bit products that the CPU has.

    python benchmarks/products.py

The yardstick multiplies pairs of 16-bit numbers and adds them to 32-bit sums, in registers of the width that the
simulator uses, with nothing to load: what the CPU could do if all came for nothing. The simulator's products, of
matrices of the sizes of `s5/shd-medium` and 8-bit weights, are those of 32 events and of one at a time, for which all
weights are read again. Where the CPU multiplies bytes, and inputs have 8 bits, products are those. A unit is a thousand
multiply-adds.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from pumice.hw_sim.simulator.kernels import bytes as by_bytes
from pumice.hw_sim.simulator.kernels import tiles
from pumice.hw_sim.simulator.kernels.products import short_products
from pumice.hw_sim.simulator.vectors.registers import MULTIPLIES_BYTES, REGISTER_BITS
from timing import Way, compare, parse, parser

SUMS = 12
"""Sums that do not wait for each other: more than a product takes cycles."""
ROWS = 32
SHAPES = {"C of a layer, 96 x 256": (96, 256), "B, 256 x 96": (256, 96), "the gate, 96 x 96": (96, 96)}


@intrinsic
def multiply_registers(typingctx: Any, out: Any, rounds: Any) -> Any:
    """``rounds`` times SUMS registers of products, of factors that change from round to round."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width, pair = tiles.WIDTH, tiles.PAIR
        i16, i32 = ir.IntType(16), ir.IntType(32)
        sums, halves = ir.VectorType(i32, width), ir.VectorType(i16, pair * width)
        products = ir.VectorType(i32, pair * width)
        nothing, nowhere = ir.Constant(products, ir.Undefined), ir.Constant(sums, ir.Undefined)
        even, odd = (ir.Constant(sums, [pair * lane + first for lane in range(width)]) for first in range(pair))
        pointer = builder.bitcast(context.make_array(sig.args[0])(context, builder, args[0]).data, sums.as_pointer())
        held = [cgutils.alloca_once_value(builder, ir.Constant(sums, [0] * width)) for _ in range(SUMS)]
        fixed = [builder.load(builder.gep(pointer, [i32(n)]), align=4) for n in range(SUMS)]
        with cgutils.for_range(builder, args[1]) as loop:
            number = builder.insert_element(nowhere, builder.trunc(loop.index, i32), i32(0))
            changing = builder.shuffle_vector(number, nowhere, ir.Constant(sums, [0] * width))
            x = builder.sext(builder.bitcast(changing, halves), products)
            for factor, register in zip(fixed, held, strict=True):
                products_ = builder.mul(x, builder.sext(builder.bitcast(factor, halves), products))
                both = [builder.shuffle_vector(products_, nothing, side) for side in (even, odd)]
                builder.store(builder.add(builder.load(register), builder.add(*both)), register)
        for n, register in enumerate(held):
            builder.store(builder.load(register), builder.gep(pointer, [i32(n)]), align=4)
        return context.get_dummy_value()

    return types.void(out, types.int64), codegen


@njit(nogil=True)
def in_registers(out: np.ndarray, rounds: int) -> None:
    multiply_registers(out, rounds)


@njit(nogil=True, error_model="numpy")
def in_tiles(
    weights: np.ndarray, x: np.ndarray, sums: np.ndarray, size: int, out: int, rows: int, at_a_time: int, times: int
) -> None:
    for _ in range(times):
        for row in range(0, rows, at_a_time):
            short_products(weights, 0, x, row * size, size, at_a_time, sums, 0, out)


@njit(nogil=True, error_model="numpy")
def in_bytes(
    codes: np.ndarray, x: np.ndarray, sums: np.ndarray, size: int, out: int, rows: int, at_a_time: int, times: int
) -> None:
    """As `in_tiles`, weights behind the inputs' room in ``codes``, starts of sums behind the sums."""
    room = ROWS * size + 64
    w, starts = 2 * (room + tiles.ROWS * (size + 64)), tiles.ROWS * out
    for _ in range(times):
        for row in range(0, rows, at_a_time):
            by_bytes.byte_products(codes, w, starts, x, row * size, size, at_a_time, room, sums, 0, out)


def byte_arrays(weight: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The memory of `in_bytes`, its inputs, and sums."""
    out, size = weight.shape
    w = 2 * (ROWS * size + 64 + tiles.ROWS * (size + 64))
    x = np.zeros(w // 2 + weight.size // 2 + 64, dtype=np.int16)
    x[: inputs.size] = inputs.ravel()
    x.view(np.int8)[w : w + weight.size] = by_bytes.packed_bytes(weight)
    sums = np.concatenate([np.zeros(tiles.ROWS * out), by_bytes.starts_of(weight, 128), np.zeros(64)]).astype(np.int32)
    return x.view(np.int8), x, sums


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--thousands", type=int, default=400_000, help="thousands of multiply-adds a round and way")
    made.add_argument("--rounds", type=int, default=9)
    options = parse(made, {"thousands": 50_000}, {"thousands": 100, "rounds": 1})
    rng = np.random.default_rng(0)
    numbers = rng.integers(-1000, 1000, SUMS * tiles.WIDTH).astype(np.int32)
    a_round = SUMS * tiles.WIDTH * tiles.PAIR
    rounds = max(options.thousands * 1000 // a_round, 1)
    ways = [
        Way("products", "registers alone", lambda: in_registers(numbers, rounds), rounds * a_round // 1000, True),
    ]
    for name, (out, size) in SHAPES.items():
        weight = rng.integers(-127, 128, (out, size))
        weights = np.pad(tiles.packed(weight).astype(np.int8), (0, 64))
        x = rng.integers(-3000, 3000, ROWS * size + 64).astype(np.int16)
        sums = np.zeros(tiles.ROWS * out + 64, dtype=np.int32)
        times = max(options.thousands * 1000 // (ROWS * out * size), 1)
        kinds = [("", in_tiles, weights, x, sums)]
        if MULTIPLIES_BYTES and not name.startswith("C"):
            short = rng.integers(-128, 128, (ROWS, size))
            kinds.append((", bytes", in_bytes, *byte_arrays(weight, short)))
        for (kind, kernel, *arrays), (rows, said) in product(kinds, ((tiles.ROWS, f"{ROWS} events"), (1, "an event"))):

            def work(
                kernel: Callable[..., None] = kernel,
                arrays: list[np.ndarray] = arrays,
                given: tuple[int, ...] = (size, out, ROWS, rows, times),
            ) -> None:
                kernel(*arrays, *given)

            work()
            last = arrays[1][(ROWS - rows) * size :][:size].astype(np.int64)
            np.testing.assert_array_equal(arrays[2][:out], weight @ last)
            ways.append(Way("products", f"{name}{kind}, {said}", work, times * ROWS * out * size // 1000))
    compare(f"16-bit products, registers of {REGISTER_BITS} bits", ways, options.rounds, "1,000 product")


if __name__ == "__main__":
    main()
