"""Helpers of the generated code against Python's own integers, at ties and ends; ticks and limits of a stream."""

from __future__ import annotations

import ctypes
import math
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pumice.export.c import Generated, sources
from pumice.export.c.block import rounded
from pumice.export.c.compiler import STRICT
from pumice.export.c.helpers import HELPERS
from pumice.program import clock
from pumice.program.nodes import GapInput
from pumice.program.random.programs import random_program

WIDE, NARROW = (1 << 52) - 1, (1 << 30) - 1


def library(compiler, folder, texts):
    for name, text in texts.items():
        (folder / name).write_text(text)
    files = [name for name in texts if name.endswith(".c")]
    command = [*compiler, *STRICT, "-O2", "-fPIC", "-shared", "-o", "all.so", *files]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "all.so"))


@pytest.fixture(scope="module")
def helpers(compiler, tmp_path_factory):
    """``helpers(name, a, b)``: what a helper gives in C."""
    names = [name for name in HELPERS if not name.startswith(("clip", "code"))]
    texts = ["#include <stddef.h>\n#include <stdint.h>\n", *(HELPERS[name] for name in names)]
    for name in names:
        kind = f"int{name[-2:]}_t"
        second = {"roo": "", "div": f", ({kind})b"}.get(name[:3], ", (int)b")
        head = f"int64_t call_{name}(int64_t a, int64_t b)"
        texts.append(f"{head};\n{head}\n{{\n    (void)b;\n    return {name}(({kind})a{second});\n}}\n")
    found = library(compiler, tmp_path_factory.mktemp("helpers"), {"all.c": "\n".join(texts)})

    def call(name, a, b=0):
        function = getattr(found, f"call_{name}")
        function.restype, function.argtypes = ctypes.c_int64, (ctypes.c_int64, ctypes.c_int64)
        return function(a, b)

    return call


def half_up(value, shift):
    return value << -shift if shift < 0 else (2 * value + (1 << shift)) >> (shift + 1)


@settings(max_examples=300, deadline=None)
@given(st.integers(-WIDE // 2, WIDE // 2), st.integers(0, 50))
@example(-3, 1)
@example(3, 1)
@example(-(1 << 50), 50)
@example(7, 0)
def test_rounded_shifts(helpers, value, shift):
    assert helpers("round64", value, shift) == half_up(value, shift)
    assert helpers("move64", value, shift) == half_up(value, shift)
    small, few = value % NARROW // 4, shift % 29
    for one in (small, -small):
        assert helpers("round32", one, few) == half_up(one, few)
        assert helpers("move32", one, few) == half_up(one, few)
    tiny = value % 1000 - 500
    assert helpers("move64", tiny, -(shift % 40)) == tiny << (shift % 40)
    assert helpers("move32", tiny, -(shift % 20)) == tiny << (shift % 20)


@given(st.integers(-(1 << 40), 1 << 40), st.integers(-5, 35))
def test_shifts_by_one_number_are_the_same(value, shift):
    written = rounded("v", shift).replace("INT64_C", "")
    assert eval(written, {"__builtins__": {}}, {"v": value}) == half_up(value, shift)  # our own text


@settings(max_examples=300, deadline=None)
@given(st.integers(-WIDE // 4, WIDE // 4), st.integers(1, WIDE // 4))
@example(-1, 2)
@example(1, 2)
@example(-3, 2)
@example(-5, 10)
@example(0, 1)
def test_divisions_round_half_up(helpers, p, q):
    assert helpers("divide64", p, q) == (2 * p + q) // (2 * q)
    p, q = p % (NARROW // 4), 1 + q % (NARROW // 4)
    for one in (p, -p):
        assert helpers("divide32", one, q) == (2 * one + q) // (2 * q)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, (1 << 26) - 1), st.integers(-1, 1))
@example(0, 0)
@example(0, 1)
@example((1 << 26) - 1, 0)
def test_square_roots_are_floors(helpers, root, beside):
    value = max(root * root + beside, 0)
    assert helpers("root64", value) == math.isqrt(value)
    small = value % NARROW
    assert helpers("root32", small) == math.isqrt(small)
    assert helpers("root64", WIDE) == math.isqrt(WIDE)


TICKS = """
#include "net.h"
int64_t last_gap;
int ticks(const uint64_t *times, size_t events, int64_t *gaps);
int ticks(const uint64_t *times, size_t events, int64_t *gaps)
{
    static net_state s;
    net_reset(&s);
    for (size_t k = 0; k < events; k++) {
        const int64_t before = s.elapsed0;
        if (net_event(&s, 0, times[k]) == NET_REFUSED) {
            return (int)k;
        }
        gaps[k] = s.elapsed0 - before;
    }
    return -1;
}
int limits(int later);
int limits(int later)
{
    static net_state s;
    net_reset(&s);
    s.events = INT64_MAX / 2;
    const int refused = net_step(&s, 0, 0, 0) == NET_REFUSED;
    const int first = net_event(&s, 0, 5); /* which waits for the next event, where that ends its gap */
    const int second = net_event(&s, 0, 9);
    return refused && first == (later ? 0 : NET_REFUSED) && second == NET_REFUSED && s.last_us == (later ? 5 : 0);
}
"""


@pytest.mark.parametrize("pairing", ["causal", "next"])
@pytest.mark.parametrize("unit", [1, 3, 512, 500, (1 << 31) + 1])
def test_ticks_are_those_of_the_clock(compiler, tmp_path, unit, pairing):
    """From time stamps, event by event: the gaps that clock.gaps takes from all of them."""
    program = random_program(3, stages=1, layers=1, width=2, modes=1, value="token", pairing=pairing, stride=1)
    gaps, pool = program.of_type(GapInput)
    nodes = [replace(node, unit_us=unit) if node is gaps else node for node in program.nodes]
    nodes = [replace(node, unit_us=unit + 1) if node is pool else node for node in nodes]
    generated = Generated(replace(program, nodes=tuple(nodes)), "net")
    found = library(compiler, tmp_path, {**sources(generated), "ticks.c": TICKS})
    rng = np.random.default_rng(0)
    steps = rng.choice([0, 1, 2, unit // 2, unit - 1, unit, unit + 1, 3 * unit, 10**7], 200)
    times = np.cumsum(steps, dtype=np.uint64) + np.uint64(12_345)
    counted = np.zeros(200, dtype=np.int64)
    places = [ctypes.c_void_p(array.ctypes.data) for array in (times, counted)]
    assert found.ticks(places[0], ctypes.c_size_t(200), places[1]) == -1
    wanted = clock.gaps(times.astype(np.int64), unit, pairing)
    np.testing.assert_array_equal(counted if pairing == "causal" else counted[1:], wanted)
    times[150] = times[149] - np.uint64(1)
    assert found.ticks(places[0], ctypes.c_size_t(200), places[1]) == 150
    times[150] = times[149] + np.uint64(generated.program.max_duration_us) + np.uint64(1)
    assert found.ticks(places[0], ctypes.c_size_t(200), places[1]) == 150
    assert found.limits(int(pairing == "next")) == 1
