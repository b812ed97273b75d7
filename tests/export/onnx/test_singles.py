"""float32 where it holds all that is summed, float64 beyond: both sides of each bound against the reference."""

from math import isqrt
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from pumice.export.onnx import build_step
from pumice.export.onnx.doubles import arithmetic, stateless
from pumice.export.onnx.feed import feed
from pumice.export.onnx.graph import Graph
from pumice.export.onnx.sums import Term
from pumice.program import Format, reference
from pumice.program.nodes import LayerNorm
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

SINGLE = np.dtype(np.float32)


def result_of(graph, tensor, open_session, value):
    graph.output(tensor, "out", ["batch", None])
    model = helper.make_model(graph.build(), opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return open_session(model)(x=value)["out"].astype(np.int64)


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    bits=st.integers(20, 28),
    right=st.integers(0, 6),
    kind=st.sampled_from(["channels", "matrix", "both"]),
)
def test_sums_on_both_sides_of_24_bits(open_session, seed, bits, right, kind):
    """Of codes that are float32 already; the half unit counts as well."""
    rng, size, form = np.random.default_rng(seed), 6, Format(8, True, 0)
    top = (1 << bits) // (128 * (size if kind != "channels" else 1))
    weight = rng.choice([-top, top - 1, 1], (size, size))
    channels = rng.choice([-top, top - 1], size)
    bias = rng.integers(-(1 << 10), 1 << 10, size)
    graph = Graph("test")
    x = graph.input("x", SINGLE, ["batch", size])
    chosen = {"channels": [channels], "matrix": [weight], "both": [channels, weight]}[kind]
    terms = [Term(x, array, 0, form.magnitude, form) for array in chosen]
    total, _ = arithmetic.rounded_sum(graph, terms, bias, right)
    most = max(sum(term.bound for term in terms) + abs(bias.astype(object)) + (1 << right >> 1))
    assert (graph.dtypes[total] == SINGLE) == (most < 1 << 24)
    value = rng.choice([-128, 127, 0], (7, size))
    expected = value @ (sum(np.diag(array) if array.ndim == 1 else array for array in chosen)).T + bias
    found = result_of(graph, total, open_session, value.astype(np.float32))
    np.testing.assert_array_equal(found, (expected + (1 << right >> 1)) >> right)


@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    shape=st.sampled_from(
        [(2, 8), (31, 15), (96, 16), (128, 16), (129, 16), (16, 19), (16, 20), (3, 22), (3, 23), (2, 24)]
    ),
    root_shift=st.integers(0, 1),
)
def test_norms_on_both_sides_of_24_bits(open_session, seed, shape, root_shift):
    """Sizes that a product centres and ones that it does not, all codes at the ends of their range."""
    (size, width), rng = shape, np.random.default_rng(seed)
    form = Format(width, True, 0)
    node = LayerNorm(
        name="norm", inputs=("x",), output=Format(8, True, 5), format=form, size=size, root_shift=root_shift,
        epsilon=1 + seed % 1000, gamma=np.zeros(0, int), gamma_frac=0, beta=np.zeros(0, int), beta_frac=0,
    )  # fmt: skip
    graph = Graph("test")
    event = SimpleNamespace(graph=graph, inputs_of=lambda node: [graph.input("x", np.float64, ["batch", size])])
    total = stateless.write_layer_norm(event, node)
    small = rng.integers(-3, 4, (4, size))
    value = np.clip(np.concatenate([rng.choice([form.min, form.max, 0, 1], (6, size)), small]), form.min, form.max)
    found = result_of(graph, total, open_session, value.astype(np.float64))
    centred = any(operation.op_type == "MatMul" for operation in graph.build().node)
    assert centred == (size <= 128 and 2 * size * form.magnitude < 1 << 24)
    a, _, c = node.shifts
    for row, codes in zip(found.tolist(), value.tolist(), strict=True):
        variance = size * sum(code * code for code in codes) - sum(codes) ** 2
        q = isqrt((variance + node.epsilon) << 2 * root_shift) << c
        expected = [(2 * ((size * code - sum(codes)) << a) + q) // (2 * q) for code in codes]
        assert row == np.clip(expected, -128, 127).tolist()


@pytest.mark.parametrize("limits", [(0, 1 << 30, 1 << 30), (0, 0, 0), (0, 0, 1 << 30)])
@pytest.mark.parametrize("seed", range(6))
def test_every_way_to_multiply_in_steps(open_session, monkeypatch, seed, limits):
    """float32, bytes, and bytes where float32 does not hold the sums, whatever the size of the weights."""
    for name, limit in zip(("SMALL", "LARGE", "HUGE"), limits, strict=True):
        monkeypatch.setattr(arithmetic, name, limit)
    cells = ["lif", "se", "ef"]
    program = random_program(seed, stride=2) if seed < 3 else random_network(seed, cell=cells[seed - 3], state_width=24)
    samples = [random_sample(program, seed + row, 17) for row in range(2)]
    inputs, traces = feed(program, samples), reference.run(program, samples)
    session = open_session(build_step(program))
    states = session.states(len(samples))
    for event in range(inputs["valid"].shape[1]):
        out = session(**{name: array[:, event] for name, array in inputs.items()}, **states)
        states = {name: out[name.replace("state/", "next/", 1)] for name in states}
        for row, trace in enumerate(traces):
            if inputs["valid"][row, event]:
                np.testing.assert_array_equal(out["logits"][row], trace.values[program.logits][event])
