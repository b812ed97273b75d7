"""Products of bytes and tables in bytes: against numpy, in whole programs, and which instructions they are."""

from __future__ import annotations

import re

import numpy as np
import pytest
from assembly import AVX512, X86, assembly, loop_of
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import ir
from numba import njit
from pumice.hw_sim.simulator import opcodes
from pumice.hw_sim.simulator.kernels import bytes as by_bytes
from pumice.hw_sim.simulator.kernels import lookups
from pumice.hw_sim.simulator.plan.make import make_plan
from pumice.hw_sim.simulator.vectors.registers import (
    MULTIPLIES_BYTES,
    PERMUTES_BYTES,
    multiplies_bytes,
    permutes_bytes,
)
from pumice.program.nodes import DiagonalSSM, Linear, Lookup
from pumice.program.random.programs import random_program, random_sample

LANES = by_bytes.LANES
NO_BYTES = "this CPU has no vpdpbusd"
SHAPE = {"stages": 1, "layers": 2, "width": 35, "modes": 19, "stride": 2}


@njit
def multiplied(codes, w, starts, x, u, size, rows, room, accs, a, stride):
    by_bytes.byte_products(codes, w, starts, x, u, size, rows, room, accs, a, stride)


@pytest.mark.skipif(not MULTIPLIES_BYTES, reason=NO_BYTES)
@given(
    st.integers(1, 130),
    st.integers(1, 70),
    st.integers(1, by_bytes.ROWS),
    st.sampled_from([(-128, 127, 128), (0, 255, 0), (0, 1, 0)]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_products_of_bytes_are_those_of_numpy(out, size, rows, codes, extreme, seed):
    rng = np.random.default_rng(seed)
    low, high, offset = codes
    weight = rng.choice([-128, 127], (out, size)) if extreme else rng.integers(-128, 128, (out, size))
    inputs = rng.choice([low, high], (rows, size)) if extreme else rng.integers(low, high + 1, (rows, size))
    packed, starts = by_bytes.packed_bytes(weight), by_bytes.starts_of(weight, offset)
    stride, room = -(-out // LANES) * LANES, -(-rows * size // LANES) * LANES + LANES
    w = 2 * (room + by_bytes.ROWS * (size + LANES))
    x = np.full(w // 2 + -(-packed.size // 2), 999, dtype=np.int16)
    x[: rows * size] = inputs.ravel()
    memory = x.view(np.int8)
    memory[w : w + packed.size] = packed
    accs = np.full(starts.size + by_bytes.ROWS * stride + 1, 77, dtype=np.int32)
    accs[: starts.size] = starts
    multiplied(memory, w, 0, x, 0, size, rows, room, accs, starts.size, stride)
    found = accs[starts.size : starts.size + rows * stride].reshape(rows, stride)
    np.testing.assert_array_equal(found[:, :out], inputs @ weight.T)
    assert not found[:, out:].any()
    assert (accs[starts.size + rows * stride :] == 77).all()


@njit
def looked_up(codes, t, values, source, out, size, kept):
    return lookups.many_by_bytes(codes, t, values, source, out, size, kept)


@pytest.mark.skipif(not PERMUTES_BYTES, reason="this CPU has no vpermi2b")
@given(st.booleans(), st.booleans(), st.integers(0, 300), st.integers(0, 2**32))
def test_lookups_of_bytes_are_those_of_numpy(signed, negative, size, seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(-128, 128, 256) if negative else rng.integers(0, 256, 256)
    if negative:
        table[3] = -1  # else it may be a table without a sign
    lowest = -128 if signed else 0
    codes = rng.integers(lowest, lowest + 256, size)
    kept = lookups.in_bytes(table)
    assert kept is not None
    values = np.full(2 * size + 128, 999, dtype=np.int16)
    values[:size] = codes
    values[-128:] = lookups.packed_table(table, lowest).astype(np.int8).view(np.int16)
    done = looked_up(values.view(np.int8), 4 * size, values, 0, size, size, kept)
    assert done == size // lookups.MANY * lookups.MANY
    np.testing.assert_array_equal(values[size : size + done], table[codes[:done] - lowest])
    assert (values[size + done : 2 * size] == 999).all()


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        (np.arange(256), 255),
        (np.arange(-128, 128), -1),
        (np.arange(-1, 255), None),
        (np.arange(1, 257), None),
        (np.arange(-129, 127), None),
        (np.arange(128), None),
        (np.zeros(256), 255),
    ],
)
def test_tables_lie_in_bytes_where_all_entries_do(table, kept):
    assert lookups.in_bytes(table) == kept


def fields_of(program, op, *places):
    """Whether it is wide, and the fields at ``places``, of every record of an operation."""
    a64, found = make_plan(program, trace=False).build()[2], []
    at = a64[opcodes.H_START]
    while at < a64[opcodes.H_END]:
        if a64[at + opcodes.OP] == op:
            found.append([int(a64[at + place]) for place in (opcodes.WIDE, *(opcodes.BODY + own for own in places))])
        at += a64[at + opcodes.LENGTH]
    return found


def in_a_byte(format):
    return format.max < 256 if format.min >= 0 else format.min >= -128 and format.max < 128


@pytest.mark.skipif(not MULTIPLIES_BYTES, reason=NO_BYTES)
@pytest.mark.parametrize("value", ["token", "dense"])
@pytest.mark.parametrize(("activation", "weight"), [(8, 8), (6, 4), (9, 8), (8, 9)])
def test_programs_use_bytes_where_all_numbers_fit(assert_equal, value, activation, weight):
    widths = {"state_width": 16, "activation_width": activation, "weight_width": weight}
    used = []
    for seed in range(3):
        program = random_program(seed, value=value, extreme=seed == 2, **widths, **SHAPE)
        spaces = [node for node in program if type(node) is DiagonalSSM]
        for node, (wide, drives, starts) in zip(spaces, fields_of(program, opcodes.SSM, 6, 14), strict=True):
            fits = in_a_byte(node.format) and node.input_width <= 8
            used.append(fits and not wide and drives < 0)
            assert (starts >= 0) == used[-1]
        assert_equal(program, [random_sample(program, number, events) for number, events in enumerate((90, 5, 1))])
    assert any(used) or max(activation, weight) > 8


@pytest.mark.skipif(not PERMUTES_BYTES, reason="this CPU has no vpermi2b")
def test_programs_look_up_bytes_where_all_entries_fit(assert_equal):
    for activation in (8, 9):
        program = random_program(1, value="dense", activation_width=activation, state_width=16, **SHAPE)
        tables = [node for node in program if type(node) is Lookup]
        for node, (wide, place) in zip(tables, fields_of(program, opcodes.LOOKUP, 2), strict=True):
            assert (place >= 0) == (lookups.in_bytes(node.table) is not None and not wide)
            assert activation == 9 or place >= 0
        assert_equal(program, [random_sample(program, number, events) for number, events in enumerate((300, 1))])


@pytest.mark.skipif(not MULTIPLIES_BYTES, reason=NO_BYTES)
def test_what_reads_states_of_16_bits_multiplies_pairs():
    program = random_program(1, value="token", state_width=16, weight_width=8, activation_width=8, **SHAPE)
    reads = [node.name for node in program if type(node) is Linear and node.formats[0].width > 8]
    assert [starts for _, starts in fields_of(program, opcodes.LINEAR, 6 + 6)].count(-1) >= len(reads) > 0


def compiled(features, arguments, build):
    return loop_of(assembly(X86, features, arguments, build))


def test_four_products_of_bytes_are_one_instruction():
    word, byte, whole = ir.IntType(64), ir.IntType(8).as_pointer(), ir.IntType(32).as_pointer()

    def build(builder, *given):
        by_bytes.build(builder, (4, 3), given[:4], given[4:])

    loop = compiled(AVX512 + ",+avx512vnni", [byte, byte, whole, whole, word, word, word], build)
    products = re.findall(r"^\s+vpdpbusd\s.*zmm.*$", loop, flags=re.MULTILINE)
    assert len(products) % 12 == 0
    assert len(products) > 0
    assert not re.search(r"vpmov|vpmull|vpmadd", loop)


def test_64_lookups_are_two_instructions():
    byte, short = ir.IntType(8).as_pointer(), ir.IntType(16).as_pointer()

    def build(builder, table, source, target, kept):
        lookups.build(builder, table, source, target, kept)

    text = assembly(X86, AVX512 + ",+avx512vbmi", [byte, short, short, ir.IntType(64)], build)
    assert len(re.findall(r"vpermi2b|vpermt2b", text)) == 2
    assert "gather" not in text


@pytest.mark.parametrize(
    ("features", "multiplies", "permutes"),
    [
        ("+avx512bw,+avx512vl,+avx512vnni", True, False),
        ("+avx512bw,+avx512vl,+avx512vbmi", False, True),
        ("+avx512bw,+avx512vl", False, False),
        ("+avx2,+avx512vnni,+avx512vbmi", False, False),
        ("+avx512bw,+avx512vl,-avx512vnni,-avx512vbmi", False, False),
    ],
)
def test_bytes_are_multiplied_where_the_cpu_says_so(features, multiplies, permutes):
    assert multiplies_bytes(None, features) == multiplies
    assert permutes_bytes("skylake", features) == permutes
    assert not multiplies_bytes("generic", None)
