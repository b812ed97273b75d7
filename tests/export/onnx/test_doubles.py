"""The idioms of float64 in onnxruntime against Python integers, at the ends of what lowering allows."""

from dataclasses import replace
from math import isqrt

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from pumice.export.onnx.doubles import arithmetic, ssm
from pumice.export.onnx.graph import Graph
from pumice.export.onnx.sums import Term
from pumice.program import Format
from pumice.program.nodes import DiagonalSSM
from pumice.program.random.programs import random_program


@pytest.fixture(scope="module")
def evaluate(open_session):
    """``evaluate(build, a, ...)``: the result of ``build(graph, a, ...)`` on arrays (B, channels), as integers."""

    def run(build, *arrays):
        graph = Graph("test")
        names = [graph.input(f"in{k}", np.float64, ["batch", array.shape[1]]) for k, array in enumerate(arrays)]
        graph.output(build(graph, *names), "out", ["batch", None])
        model = helper.make_model(graph.build(), opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        fed = {name: array.astype(np.float64) for name, array in zip(names, arrays, strict=True)}
        return [[int(value) for value in row] for row in open_session(model)(**fed)["out"].tolist()]

    return run


def test_roots_beside_squares(evaluate):
    rng = np.random.default_rng(0)
    roots = np.concatenate([rng.integers(1, 1 << 26, 2000), (1 << 26) - 1 - np.arange(100), np.arange(1, 50)])
    values = np.concatenate([roots**2 + step for step in (-1, 0, 1)])[:, None]
    assert values.max() < 1 << 52
    assert evaluate(arithmetic.root, values) == [[isqrt(value)] for value in values[:, 0].tolist()]


def test_quotients_beside_halves(evaluate):
    """p / q just below, at and just above a half, with ``2 |p| + q`` up to 2**52."""
    rng = np.random.default_rng(1)
    q = np.floor(2 ** rng.uniform(0, 50, 6000)).astype(np.int64)
    most = ((1 << 52) - 1 - q) // 2
    halves = rng.integers(-most // q, most // q + 1) * q + q // 2
    p = np.clip(
        np.where(rng.random(6000) < 0.7, halves + rng.integers(-1, 2, 6000), rng.integers(-most, most + 1)), -most, most
    )
    expected = [[(2 * a + b) // (2 * b)] for a, b in zip(p.tolist(), q.tolist(), strict=True)]
    assert evaluate(arithmetic.quotient, p[:, None], q[:, None]) == expected


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), bits=st.sampled_from([22, 23, 24, 25, 40, 51]), size=st.sampled_from([3, 50]))
def test_sums_of_every_size(evaluate, seed, bits, size):
    """Products that go in float32, in bytes and in float64, and channels beside them, rounded once."""
    rng = np.random.default_rng(seed)
    form = Format(*[(1, False, 0), (8, True, 0), (16, True, 0)][seed % 3])
    inputs = size if form.width > 1 else 400
    top = max(1, min(127, (1 << bits - 3) // (inputs * form.magnitude)))
    weight = rng.choice([-top, -1, 0, 1, top], (size, inputs))
    channels = rng.integers(-(1 << bits - 2), 1 << bits - 2, size)
    right, bias = rng.integers(-1, 12, size), rng.integers(-(1 << bits - 2), 1 << bits - 2, size)
    x = rng.choice([form.min, form.max, 0], (5, inputs))
    y = rng.choice([-1, 1], (5, size))

    def build(graph, first, second):
        terms = [Term(first, weight, 0, form.magnitude, form), Term(second, channels, 0, 1)]
        return arithmetic.rounded_sum(graph, terms, bias, right)[0]

    total = x.astype(object) @ weight.T.astype(object) + y.astype(object) * channels + bias
    expected = [
        [(2 * v + 2**s) >> (s + 1) if s >= 0 else v * 2 for v, s in zip(row, right.tolist(), strict=True)]
        for row in total
    ]
    assert evaluate(build, x, y) == [[int(value) for value in row] for row in expected]


@pytest.mark.parametrize("exponent", [14, 18, 19, 20, 30, 31])
def test_decays_beside_halves(evaluate, exponent):
    """Codes of 32 bits whose product lies a last bit beside a half: slow decays leave no room for their own value."""
    (node, *_) = random_program(3, state_width=32, discretization="async").of_type(DiagonalSSM)
    decay, one = -16_001, 1 << exponent
    node = replace(
        node,
        decay_re=np.full_like(node.decay_re, decay),
        decay_im=np.zeros_like(node.decay_im),
        decay_exponent=np.full_like(node.decay_exponent, exponent),
    )
    beside = [pow(decay, -1, one) * (one // 2 + step) % one for step in (-1, 0, 1)]
    largest = [code + (((1 << 31) - 1 - code) >> exponent << exponent) for code in beside]
    x = np.tile(np.array([*largest, *beside, 0, -(1 << 31)])[:, None], node.channels)
    expected = x + ((decay * x.astype(object) + one // 2) >> exponent)

    def build(graph, state):
        along, across = (graph.constant(table[1], np.float64) for table in ssm.digit_tables(node))
        return ssm.decay_step(graph, node, state, along, across)

    assert evaluate(build, x) == np.clip(expected, -(1 << 31), (1 << 31) - 1).tolist()
