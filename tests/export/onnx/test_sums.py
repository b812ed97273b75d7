"""Sums rounded once, in every way they can be taken, against Python integers."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from pumice.export.onnx.graph import Graph
from pumice.export.onnx.sums import Term, rounded_sum
from pumice.program import Format

OPSETS = (16, 18)


def build(opset, tensors, terms, constant, right):
    """The model of one sum: its operand names, its result's element type and bound, and a function of the operands."""
    graph = Graph("sum", opset=opset)
    names = [graph.input(f"x{k}", array.dtype, ["batch", array.shape[1]]) for k, array in enumerate(tensors)]
    made = [Term(name, *term) for name, term in zip(names, terms, strict=True)]
    out, bound = rounded_sum(graph, made, constant, right)
    graph.output(graph.cast(out, np.int64), "out", ["batch", None])
    model = helper.make_model(graph.build(), opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return names, graph.dtypes[out], bound, model


def expected(tensors, terms, constant, right):
    total = np.zeros((len(tensors[0]), len(constant)), dtype=object) + constant
    for x, (weight, shift, *_) in zip(tensors, terms, strict=True):
        x, weight = x.astype(int).astype(object), weight.astype(object)
        total = total + (x @ weight.T if weight.ndim == 2 else weight * x) * (1 << np.asarray(shift).astype(object))
    right = right.astype(object)
    left, right = np.maximum(-right, 0), np.maximum(right, 0)
    return (total * (1 << left) + (1 << right) // 2) >> right


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    opset=st.sampled_from(OPSETS),
    count=st.integers(1, 3),
    bits=st.integers(20, 40),
    bias=st.integers(0, 40),
    uniform=st.booleans(),
)
def test_any_sum(open_session, seed, opset, count, bits, bias, uniform):
    """Operands of 8 to 16 bits, weights of up to 15, matrices and channels, with sums around 2**bits."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 5))
    tensors, terms = [], []
    for _ in range(count):
        kind = rng.choice(["matrix", "channels", "conditions"], p=[0.4, 0.5, 0.1])
        width = int(rng.choice([1, 2, 8, 12, 16, 20]))
        form = Format(width, bool(rng.integers(2)) and width > 1, 0)
        top = (1 << int(rng.choice([7, 11, 15])) - 1) - 1
        columns = int(rng.integers(1, 9)) if kind == "matrix" else rows
        weight = rng.integers(-top, top + 1, (rows, columns) if kind == "matrix" else (rows,))
        if kind == "conditions":
            x, form = rng.random((9, rows)) < 0.5, Format(1, False, 0)
        else:
            ends = rng.choice([form.min, form.max], (9, columns))
            x = np.where(rng.random(ends.shape) < 0.4, ends, rng.integers(form.min, form.max + 1, ends.shape))
            x = x.astype(np.int32)
        size = max(int(np.abs(weight).sum(axis=-1).max()), 1) * form.magnitude
        room = max(bits - size.bit_length(), 0)
        shift = rng.integers(0, room + 1, 1 if uniform else rows)
        tensors.append(x)
        terms.append((weight, shift, form.magnitude, form if kind == "matrix" else None))
    constant = rng.integers(-(1 << bias), (1 << bias) + 1, rows)
    right = np.broadcast_to(rng.integers(-3, 24, 1 if uniform else rows), rows)
    names, dtype, bound, model = build(opset, tensors, terms, constant, right)
    found = open_session(model)(**dict(zip(names, tensors, strict=True)))["out"]
    right_values = expected(tensors, terms, constant, right)
    assert (found == right_values).all(), dtype
    assert int(abs(right_values).max()) <= bound


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("terms", "constant", "right"),
    [
        pytest.param([((2, 8), 11, 16, 0), ((2,), 8, 8, 17)], 300, 18, id="a wide D u joins late"),
        pytest.param([((2, 8), 11, 16, 0)], 1 << 33, 14, id="a wide bias joins late"),
        pytest.param([((2,), 16, 16, 0), ((2, 5), 8, 1, 13)], 1 << 27, 15, id="a slow decay leaves its operand"),
        pytest.param([((2,), 16, 16, 4), ((2,), 15, 18, 0)], 0, 19, id="a wide drive is split"),
    ],
)
def test_sums_beyond_30_bits_are_taken_in_int32(open_session, opset, terms, constant, right):
    """Shapes, bits of weight and operand, and left shifts: what lowered networks bring."""
    rng = np.random.default_rng(0)
    tensors, made = [], []
    for shape, weight_bits, bits, shift in terms:
        form, top = Format(bits, bits > 1, 0), (1 << weight_bits - 1) - 1
        signs = rng.choice([-1, 1], shape) if weight_bits < 16 else 1
        made.append((np.full(shape, top) * signs, shift, form.magnitude, form if len(shape) == 2 else None))
        tensors.append(rng.choice([form.min, form.max, 0, 1], (40, shape[-1])).astype(np.int32))
    arguments = tensors, made, np.full(2, constant), np.full(2, right)
    whole = sum(int(np.abs(w).sum(axis=w.ndim - 1).max()) * m << s for w, s, m, _ in made) + constant
    assert whole >= 1 << 30
    names, dtype, _, model = build(opset, *arguments)
    assert dtype == np.int32
    found = open_session(model)(**dict(zip(names, tensors, strict=True)))["out"]
    np.testing.assert_array_equal(found, expected(*arguments))


def test_what_does_not_fit_is_summed_in_int64(open_session):
    rng = np.random.default_rng(1)
    x = rng.choice([-(1 << 31), (1 << 31) - 1], (20, 3)).astype(np.int32)
    arguments = [x], [(np.full((2, 3), 32_767), 0, 1 << 31, Format(32, True, 0))], np.zeros(2, int), np.full(2, 20)
    names, dtype, _, model = build(16, *arguments)
    assert dtype == np.int64
    np.testing.assert_array_equal(open_session(model)(**{names[0]: x})["out"], expected(*arguments))


def test_sums_that_are_not_shifted_may_fill_31_bits(open_session):
    x = np.array([[127] * 5, [-128] * 5], dtype=np.int32)
    weight, form = np.full((1, 5), 127), Format(8, True, 0)
    arguments = [x], [(weight, 14, 128, form)], np.zeros(1, int), np.zeros(1, int)
    names, dtype, bound, model = build(16, *arguments)
    assert 1 << 30 <= bound < 1 << 31
    assert dtype == np.int32
    np.testing.assert_array_equal(open_session(model)(**{names[0]: x})["out"], expected(*arguments))
