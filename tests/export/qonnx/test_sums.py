"""Single nodes in both dialects, against Python's own integers; ties and the ends of every range among them."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import onnx
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from pumice.export.onnx.graph import Graph
from pumice.export.qonnx.dialects import DIALECTS, DOMAIN
from pumice.export.qonnx.runnable import runnable
from pumice.export.qonnx.sums import EXACT_BITS, SUMS
from pumice.export.qonnx.writers import WRITERS, _inexact
from pumice.program.formats import Format
from pumice.program.nodes import Add, BatchNorm, Linear, Lookup, Multiply

ROWS = 24
FORMATS = st.builds(
    Format, width=st.sampled_from([2, 4, 7, 8, 9, 12, 16]), signed=st.booleans(), frac=st.integers(-3, 9)
)
OUTPUTS = st.builds(Format, width=st.sampled_from([3, 6, 8, 11, 16, 20]), signed=st.booleans(), frac=st.integers(-3, 9))


def sat_rhu(value, output):
    """``sat(floor(value 2**frac + 1/2))`` of exact real values, as codes."""
    return min(max(floor(value * Fraction(2) ** output.frac + Fraction(1, 2)), output.min), output.max)


def real(code, frac):
    return Fraction(int(code)) / Fraction(2) ** int(frac)


@st.composite
def sums(draw):
    kind = draw(st.sampled_from([Add, BatchNorm, Linear, Multiply]))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    output, out = draw(OUTPUTS), draw(st.integers(1, 3))
    count = {Multiply: 2, BatchNorm: 1}.get(kind, draw(st.integers(1, 2)))
    formats = tuple(draw(FORMATS) for _ in range(count))
    common = {"name": "node", "inputs": tuple(f"x{i}" for i in range(count)), "output": output}
    if kind in (Add, Multiply):
        return kind(**common, formats=formats, size=out)
    width = draw(st.sampled_from([2, 4, 8, 10]))
    top = (1 << (width - 1)) - 1
    bias = rng.integers(-200, 201, out)
    if kind is BatchNorm:
        shift = rng.integers(-2, 9, out)
        return kind(
            **common,
            format=formats[0],
            multiplier=rng.integers(-top, top + 1, out),
            multiplier_width=width,
            bias=bias,
            shift=shift,
        )
    weights = tuple(
        rng.integers(-top, top + 1, (out, draw(st.integers(1, 3))) if draw(st.booleans()) else out) for _ in formats
    )
    fracs = tuple(rng.integers(-2, 7, out) for _ in formats)
    return kind(
        **common, formats=formats, weights=weights, weight_widths=(width,) * count, weight_fracs=fracs, bias=bias
    )


def expected(node, rows):
    """Codes (rows, channels) in exact arithmetic, from codes of each operand."""
    found = np.zeros((ROWS, node.channels), dtype=np.int64)
    for row in range(ROWS):
        for c in range(node.channels):
            if type(node) in (Add, Multiply):
                values = [real(x[row, c], form.frac) for x, form in zip(rows, node.formats, strict=True)]
                value = sum(values) if type(node) is Add else values[0] * values[1]
            elif type(node) is BatchNorm:
                total = int(node.multiplier[c]) * int(rows[0][row, c]) + int(node.bias[c])
                value = real(total, node.shift[c] + node.output.frac)
            else:
                value = real(node.bias[c], node.accumulator_frac[c])
                for x, form, weight, frac in zip(rows, node.formats, node.weights, node.weight_fracs, strict=True):
                    products = [weight[c] * x[row, c]] if weight.ndim == 1 else weight[c] * x[row]
                    value += sum(real(product, form.frac + frac[c]) for product in products)
            found[row, c] = sat_rhu(value, node.output)
    return found


def written(node, dialect):
    """A model of one node."""
    graph = Graph("node", opset=dialect.opset)
    names = [
        graph.input(edge, np.float32, [None, size]) for edge, size in zip(node.inputs, node.input_channels, strict=True)
    ]
    out = WRITERS[type(node)](graph, dialect, node, names)
    built = graph.build()
    built.output.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, [None, node.channels]))
    imports = [helper.make_opsetid("", dialect.opset), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(built, opset_imports=imports, ir_version=10), out


@given(sums(), st.integers(0, 1 << 32))
@settings(max_examples=examples(60), deadline=None)
def test_each_sum_is_exact_or_refused(open_session, reference_of, node, seed):
    rng = np.random.default_rng(seed)
    rows = []
    for form, size in zip(node.input_formats, node.input_channels, strict=True):
        codes = rng.integers(form.min, form.max + 1, (ROWS, size))
        codes[rng.random(codes.shape) < 0.3] = rng.choice([form.min, form.max])
        rows.append(codes)
    if _inexact(node):
        assert "24 exactly" in _inexact(node)
        return
    values = [(x * 2.0**-form.frac).astype(np.float32) for x, form in zip(rows, node.input_formats, strict=True)]
    right = expected(node, rows) * 2.0**-node.output.frac
    fed = dict(zip(node.inputs, values, strict=True))
    for name, dialect in DIALECTS.items():
        model, out = written(node, dialect)
        session = open_session(runnable(model))
        np.testing.assert_array_equal(session(**fed)[out], right, err_msg=f"{name} in onnxruntime")
        if name != "qcdq":
            np.testing.assert_array_equal(reference_of(model, fed)[out], right, err_msg="by the documentation")


def test_ties_of_both_signs_round_up(reference_of):
    """HALF_UP of QONNX is half away from zero, ROUND half to even; floor(x + 1/2) is neither."""
    eight, whole = Format(8, True, 1), Format(6, True, 0)
    node = Add(name="node", inputs=("x0",), output=whole, formats=(eight,), size=1)
    halves = np.array([[-5], [-3], [-1], [1], [3], [5]])
    for dialect in DIALECTS.values():
        model, out = written(node, dialect)
        found = reference_of(model, {"x0": (halves / 2).astype(np.float32)})[out]
        np.testing.assert_array_equal(found.ravel(), [-2, -1, 0, 1, 2, 3])


def test_bits_at_the_limit():
    """The largest sum that is still written has 23 bits where it is rounded, 24 where it is not."""

    def node(weight, frac):
        return Linear(
            name="node",
            inputs=("x0",),
            output=Format(20, True, 0),
            formats=(Format(16, False, 0),),
            weights=(np.array([[weight]]),),
            weight_widths=(12,),
            weight_fracs=(np.array([frac]),),
            bias=np.array([0]),
        )

    assert SUMS[Linear](node(127, 1)).bits == EXACT_BITS
    assert not _inexact(node(127, 1))
    assert _inexact(node(129, 1)) == "has sums of 25 bits, and float32 holds 24 exactly"
    assert not _inexact(node(255, 0))
    assert _inexact(node(257, 0)) == "has sums of 25 bits, and float32 holds 24 exactly"


def test_wide_results_are_written_where_they_cannot_saturate():
    def node(frac):
        wide = Format(32, True, frac)
        return Add(name="node", inputs=("x0",), output=wide, formats=(Format(20, True, 0),), size=1)

    model, out = written(node(0), DIALECTS["qonnx"])
    assert [op.op_type for op in model.graph.node] == ["Identity"]
    assert out != "x0"  # an edge of its own
    assert _inexact(node(20)) == "saturates at 32 bits, and float32 holds 24 exactly"


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_tables(dialect, signed, open_session):
    form, rng = Format(5, signed, 2), np.random.default_rng(0)
    table = rng.integers(-100, 100, 32)
    node = Lookup(
        name="node", inputs=("x0",), output=Format(8, True, 4), format=form, size=2, table=table, function="any"
    )
    codes = rng.permutation(np.repeat(np.arange(form.min, form.max + 1), 2)).reshape(-1, 2)
    model, out = written(node, DIALECTS[dialect])
    found = open_session(runnable(model))(x0=(codes / 4).astype(np.float32))[out]
    np.testing.assert_array_equal(found, table[codes - form.min] / 16)


def test_weights_say_their_bits(tmp_path):
    node = Linear(
        name="node",
        inputs=("x0",),
        output=Format(8, True, 0),
        formats=(Format(8, True, 0),),
        weights=(np.array([[3, -3], [1, 2]]),),
        weight_widths=(3,),
        weight_fracs=(np.array([1, 2]),),
        bias=np.array([5, -7]),
    )
    model, _ = written(node, DIALECTS["qonnx"])
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weight, bias, result = (op for op in model.graph.node if op.op_type == "Quant")
    told = [{item.name: helper.get_attribute_value(item) for item in op.attribute} for op in (weight, bias, result)]
    assert told[0] == {"signed": 1, "narrow": 1, "rounding_mode": b"ROUND"}
    assert told[2]["narrow"] == 0
    np.testing.assert_array_equal(known[weight.input[0]], [[1.5, 0.25], [-1.5, 0.5]])
    np.testing.assert_array_equal(known[weight.input[1]], [[0.5, 0.25]])
    assert [known[op.input[3]].item() for op in (weight, bias, result)] == [3, 5, 8]
    np.testing.assert_array_equal(known[bias.input[0]], [5.5 / 2, -6.5 / 4])  # half a unit of each row's last bit more
    assert all(known[op.input[2]] == 0 for op in (weight, bias, result))


def test_negative_sums_of_unsigned_results_are_zero(reference_of):
    node = Linear(
        name="node",
        inputs=("x0",),
        output=Format(8, False, 0),
        formats=(Format(2, False, 0),),
        weights=(np.array([[-1], [1]]),),
        weight_widths=(2,),
        weight_fracs=(np.array([0, 0]),),
        bias=np.array([1, 0]),
    )
    model, out = written(node, DIALECTS["qonnx"])
    found = reference_of(model, {"x0": np.arange(4, dtype=np.float32)[:, None]})[out]
    np.testing.assert_array_equal(found, [[1, 0], [0, 1], [0, 2], [0, 3]])
