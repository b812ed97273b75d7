"""The tile of the matrix products: which instructions compilers make of it, on processors that this one need not be."""

from __future__ import annotations

import re

import numpy as np
import pytest
from assembly import ARM, AVX512, X86, assembly, loop_of
from llvmlite import ir
from pumice.hw_sim.simulator.kernels import tiles
from pumice.hw_sim.simulator.vectors.registers import register_bits

SHAPE = 4, 3


def tile_for(triple: str, features: str, width: int, entry: int) -> str:
    """What a processor with these features would run for a tile of SHAPE, weights of ``entry`` bits."""
    word = ir.IntType(64)
    arguments = [*(ir.IntType(bits).as_pointer() for bits in (entry, 16, 32)), word, word, word]

    def build(builder, *given):
        tiles.build(builder, SHAPE, width, given[:3], given[3:], ir.IntType(entry))

    return assembly(triple, features, arguments, build)


@pytest.mark.parametrize("entry", [8, 16])
@pytest.mark.parametrize(
    ("triple", "features", "width", "instruction", "registers"),
    [
        (X86, AVX512 + ",+avx512vnni", 16, "vpdpwssd", "zmm"),
        (X86, AVX512, 16, "vpmaddwd", "zmm"),
        (X86, "+avx2", 8, "vpmaddwd", "ymm"),
        (X86, "", 4, "pmaddwd", "xmm"),
        (ARM, "+neon", 4, "smlal|smull", "4s"),
    ],
    ids=["avx512-vnni", "avx512", "avx2", "x86-64", "neon"],
)
def test_products_are_one_instruction(triple, features, width, instruction, registers, entry):
    loop = loop_of(tile_for(triple, features, width, entry))
    products = re.findall(rf"^\s+(?:{instruction})2?\s.*$", loop, flags=re.MULTILINE)
    rows, columns = SHAPE
    each = 2 if triple == ARM else 1  # four products an instruction there, of eight in a register
    assert len(products) % (each * rows * columns) == 0
    assert len(products) >= each * rows * columns
    assert all(registers in line for line in products)
    assert not re.search(r"pmull|\smul\s|imul", loop)


@pytest.mark.parametrize(
    ("name", "features", "bits"),
    [
        ("generic", None, 128),
        ("skylake-avx512", "", 128),
        (None, "+sse4.2,+avx2,-avx512bw", 256),
        (None, "+avx2,+avx512f,+avx512vl", 256),
        (None, "+avx2,+avx512bw,+avx512vl", 512),
        (None, "", 128),
    ],
)
def test_registers_are_those_that_numba_compiles_for(name, features, bits):
    assert register_bits(name, features) == bits


def test_what_is_packed_is_all_of_the_matrix():
    weight = np.random.default_rng(0).integers(-127, 128, (20, 7))
    blocks = tiles.packed(weight).reshape(-1, 4, tiles.WIDTH, tiles.PAIR)
    unpacked = blocks.transpose(0, 2, 1, 3).reshape(-1, 8)
    np.testing.assert_array_equal(unpacked[:20, :7], weight)
    assert not unpacked[20:].any()
    assert not unpacked[:, 7:].any()
