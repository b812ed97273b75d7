"""Each integer idiom in onnxruntime against Python integers, at the edges of what the bounds allow."""

import math

import numpy as np
import onnx
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from pumice.export.onnx import arithmetic
from pumice.export.onnx.graph import Graph
from pumice.program import Format


@pytest.fixture(scope="module")
def evaluate(open_session):
    """``evaluate(build, a, ...)``: the result of ``build(graph, a, ...)`` on arrays (B, channels)."""

    def run(build, *arrays):
        graph = Graph("test")
        names = [graph.input(f"in{k}", array.dtype, ["batch", array.shape[1]]) for k, array in enumerate(arrays)]
        graph.output(build(graph, *names), "out", ["batch", None])
        model = helper.make_model(graph.build(), opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return open_session(model)(**dict(zip(names, arrays, strict=True)))["out"]

    return run


def around(limit, rng, shape):
    """Integers in +-limit, half of them at the ends, around 0 and around powers of two."""
    drawn = rng.integers(-limit, limit + 1, shape)
    special = [s * (1 << b) + d for b in range(limit.bit_length()) for s in (-1, 1) for d in (-1, 0, 1)]
    special = np.array([0, limit, -limit, *special], dtype=np.int64)
    special = special[np.abs(special) <= limit]
    return np.where(rng.random(shape) < 0.5, drawn, rng.choice(special, shape))


@pytest.mark.parametrize(("dtype", "bits"), [(np.int32, 30), (np.int64, 52)])
def test_shift_rounds_half_up(evaluate, dtype, bits):
    rng = np.random.default_rng(bits)
    shifts = np.array([-4, 0, 1, 2, 7, 13, bits - 2])
    limits = [((1 << bits) - 1 >> max(-s, 0)) - ((1 << s) // 2 if s > 0 else 0) for s in shifts.tolist()]
    values = np.stack([around(limit, rng, 400) for limit in limits], axis=1).astype(dtype)
    out = evaluate(lambda graph, x: arithmetic.shift_half_up(graph, x, shifts), values)
    expected = [
        [(v + (1 << (s - 1))) >> s if s > 0 else v << -s for v, s in zip(row, shifts.tolist(), strict=True)]
        for row in values.tolist()
    ]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("format", [Format(8, True, 0), Format(8, False, 0), Format(16, True, 0), Format(48, False, 0)])
def test_saturation_beyond_32_bits(evaluate, dtype, format):
    rng = np.random.default_rng(1)
    values = around(int(np.iinfo(dtype).max) >> 1, rng, (500, 5)).astype(dtype)
    out = evaluate(lambda graph, x: arithmetic.saturate(graph, x, format), values)
    np.testing.assert_array_equal(out, np.clip(values.astype(np.int64), format.min, format.max))


@pytest.mark.parametrize(("dtype", "bits"), [(np.int32, 29), (np.int64, 51)])
def test_division_rounds_half_up(evaluate, dtype, bits):
    rng = np.random.default_rng(bits)
    numerator = (around((1 << bits) - 1, rng, (800, 4)) // 2).astype(dtype)
    denominator = np.maximum(np.abs(around(1 << int(rng.integers(1, bits - 1)), rng, (800, 4))) // 2, 1).astype(dtype)
    out = evaluate(arithmetic.rounded_divide, numerator, denominator)
    expected = [
        [(2 * p + q) // (2 * q) for p, q in zip(a, b, strict=True)]
        for a, b in zip(numerator.tolist(), denominator.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 3), (1, 1000), (1, (1 << 52) - 1), (77 << 20, 1 << 51)])
def test_square_root(evaluate, low, high):
    rng = np.random.default_rng(high % 97)
    roots = rng.integers(math.isqrt(low), math.isqrt(high) + 1, 3000)
    values = np.concatenate([roots**2 + d for d in (-1, 0, 1)] + [2 ** rng.uniform(np.log2(low), np.log2(high), 3000)])
    values = np.clip(values.astype(np.int64), low, high)[:, None]
    out = evaluate(lambda graph, x: arithmetic.integer_sqrt(graph, x, low, high), values)
    np.testing.assert_array_equal(out[:, 0], [math.isqrt(v) for v in values[:, 0].tolist()])


@settings(max_examples=examples(25), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    width=st.sampled_from([2, 8, 12, 16]),
    signed=st.booleans(),
    weight_width=st.sampled_from([2, 4, 8, 9]),
    diagonal=st.booleans(),
)
def test_matrix_product(evaluate, seed, width, signed, weight_width, diagonal):
    rng = np.random.default_rng(seed)
    format = Format(width, signed, 0)
    inputs, outputs = rng.integers(1, 40), rng.integers(1, 9)
    inputs = outputs if diagonal else inputs
    top = (1 << (weight_width - 1)) - 1
    weight = rng.choice([-top, -1, 0, 1, top], (outputs,) if diagonal else (outputs, inputs))
    values = rng.choice([format.min, format.max, 0, 1], (6, inputs)).astype(np.int32)
    for dtype in (np.int32, np.int64):
        out = evaluate(lambda graph, x, d=dtype: arithmetic.matmul(graph, x, format, weight, np.dtype(d)), values)
        expected = values.astype(np.int64) * weight if diagonal else values.astype(np.int64) @ weight.T
        assert out.dtype == dtype
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("width", [1, 2, 4, 7, 8, 12])
def test_products_at_the_ends_of_their_formats(evaluate, signed, width):
    """All codes at one end, then random ones, against weights at theirs: nothing saturates in between."""
    format = Format(width, signed, 0)
    rng = np.random.default_rng(width)
    weight = rng.choice([-127, -126, 0, 127], (5, 32))
    weight[0], weight[1] = 127, -127
    ends = np.array([[format.min], [format.max]]) * np.ones((2, 32), dtype=np.int64)
    codes = np.concatenate([ends, rng.integers(format.min, format.max + 1, (6, 32))]).astype(np.int32)
    out = evaluate(lambda graph, x: arithmetic.matmul(graph, x, format, weight, np.dtype(np.int32)), codes)
    np.testing.assert_array_equal(out, codes.astype(np.int64) @ weight.T)


def test_signed_weights_meet_narrow_operands_alone():
    """On CPUs without VNNI uint8 by int8 adds pairs of products in 16 bits, and saturates."""
    weight = np.full((1, 2), 127)
    for width in range(1, 9):
        for signed in (True, False):
            graph = Graph("test")
            x = graph.input("x", np.int32, ["batch", 2])
            graph.output(arithmetic.matmul(graph, x, Format(width, signed, 0), weight, np.dtype(np.int32)), "y", [1, 1])
            stored = {tensor.name: tensor.data_type for tensor in graph.build().initializer}
            (product,) = (node for node in graph.build().node if node.op_type == "MatMulInteger")
            narrow = stored[product.input[1]] == onnx.TensorProto.INT8
            assert narrow == (2 * 127 * ((1 << width) - 1) <= 32_767)
