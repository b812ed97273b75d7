"""Matrices of few weights: their products, and programs that have them, against plain ones."""

from __future__ import annotations

import re

import numpy as np
import pytest
from assembly import AVX512, X86, assembly, loop_of
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import ir
from numba import njit
from pruned import pruned
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.simulator import Simulator, run
from pumice.hw_sim.simulator.kernels import thin
from pumice.program import reference
from pumice.program.random.programs import random_program, random_sample

LANES = thin.LANES


@njit
def multiplied(w, x, u, size, rows, room, accs, a, stride):
    thin.thin_products(w, x, u, size, rows, room, accs, a, stride)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, LANES), st.floats(0, 1), st.integers(0, 2**32))
def test_products_are_those_of_the_whole_matrix(out, size, rows, share, seed):
    rng = np.random.default_rng(seed)
    weight = rng.choice([-32767, -1, 1, 3, 32767], (out, size)) * (rng.random((out, size)) < share)
    inputs = rng.choice([-800, -1, 0, 1, 799], (rows, size))  # 40 of them times the largest weight stay below 2**31
    stride, room = -(-out // LANES) * LANES, rows * size + LANES
    x = np.zeros(room + LANES * (size + LANES), dtype=np.int16)
    x[: rows * size] = inputs.ravel()
    matrix = thin.packed_thin(weight)
    accs = np.full(len(matrix) + LANES * stride, 77, dtype=np.int32)
    accs[: len(matrix)] = matrix
    multiplied(0, x, 0, size, rows, room, accs, len(matrix), stride)
    found = accs[len(matrix) :].reshape(LANES, stride)
    np.testing.assert_array_equal(found[:rows, :out], inputs @ weight.T)
    assert not found[:, out:].any()


def test_a_fifth_of_a_matrix_in_pairs_is_the_limit():
    weight = np.zeros((10, 20), dtype=np.int64)
    weight[:, :4] = 1
    assert thin.is_thin(weight)
    weight[3, 4] = 1
    assert not thin.is_thin(weight)
    weight[3, :5] = 0
    weight[4, 7] = weight[5, 8] = 1  # a pair each, half full, in place of two
    assert thin.is_thin(weight)


SHAPE = {"stages": 1, "layers": 2, "width": 24, "modes": 9, "state_width": 16, "weight_width": 8, "activation_width": 8}
BACKENDS = {
    "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
    "run": lambda program, samples, trace: run(program, samples, trace=trace, threads=1),
}


@pytest.mark.parametrize(
    ("seed", "settings"),
    [
        (1, {"value": "dense", "stride": 1, "discretization": "zoh", "extreme": True}),
        (2, {"value": "token", "stride": 2, "real": True}),
    ],
)
def test_programs_of_few_weights(seed, settings):
    """Blocks of 300 events, with rows left over of which dense products take less time, and of one event."""
    program = pruned(random_program(seed, **SHAPE, **settings), 0.9)
    codes = [tensor.codes for node in program for tensor in node.weight_tensors() if np.ndim(tensor.codes) == 2]
    assert sum(thin.is_thin(code) for code in codes) > 3
    samples = [random_sample(program, number, events) for number, events in enumerate((300, 23, 7, 1))]
    result = compare(program, samples, BACKENDS, traced=len(samples))
    assert result.differing == 0, [verdict.first for verdict in result.verdicts]
    (expected,) = reference.run(program, samples[:1])
    logits, _ = Simulator(program).step_many(*samples[0])
    np.testing.assert_array_equal(logits[-1], expected.logits)


@pytest.mark.parametrize(
    ("features", "instruction"),
    [(AVX512 + ",+avx512vnni", "vpdpwssd"), (AVX512, "vpmaddwd"), ("+avx2", "vpmaddwd"), ("", "pmaddwd")],
)
def test_a_pair_of_weights_is_one_product_a_register(features, instruction):
    def build(builder, pairs, inputs, sums, start, end):
        builder.store(builder.load(thin.sum_of_pairs(builder, pairs, (start, end), inputs)), sums)

    word, row = ir.IntType(64), ir.VectorType(ir.IntType(32), LANES).as_pointer()
    arguments = [ir.IntType(32).as_pointer(), ir.IntType(16).as_pointer(), row, word, word]
    loop = loop_of(assembly(X86, features, arguments, build))
    registers = {"zmm": 1, "ymm": 2, "xmm": 4}["zmm" if "512" in features else "ymm" if features else "xmm"]
    assert len(re.findall(rf"\s{instruction}\s", loop)) % registers == 0
    assert re.search(rf"\s{instruction}\s", loop)
    assert not re.search(r"pmull|\smul\s|imul", loop)
