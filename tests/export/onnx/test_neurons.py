"""Clocked networks in ONNX against the reference: every spike, state and potential of every step."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.export.onnx import build_sequence, build_step, run_onnx
from pumice.export.onnx.feed import feed
from pumice.export.onnx.integer import INTEGER
from pumice.export.onnx.model import operations
from pumice.export.onnx.session import Session, run_samples, run_sequence, run_step
from pumice.hw_sim.parity.compare import compare
from pumice.program import reference
from pumice.program.random.networks import CHOICES, random_network
from pumice.program.random.programs import random_sample

BACKENDS = {
    "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
    "onnx": lambda program, samples, trace: run_onnx(program, samples, trace, batch_size=3),
}


def check(program, samples):
    """Logits, series, every edge and every state."""
    verdict = compare(program, samples, BACKENDS, traced=len(samples)).verdicts[0]
    assert verdict.differing == 0, verdict.first
    assert verdict.states[0] == verdict.states[1] >= 1
    assert verdict.nodes[0] == len(program.nodes) - 2  # all but the input and what lies behind the read-out
    assert verdict.values > 0


@pytest.mark.parametrize(
    ("choice", "value"), [(name, value) for name in CHOICES for value in sorted(set(CHOICES[name]))]
)
def test_every_choice(make_samples, choice, value):
    seed = len(choice) + 7 * list(CHOICES).index(choice)
    program = random_network(seed, **{choice: value})
    check(program, make_samples(program, seed))


@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_random_networks(seed):
    program = random_network(seed)
    check(program, [random_sample(program, seed % 1000 + row, steps) for row, steps in enumerate((9, 0, 1, 23))])


@pytest.mark.parametrize("cell", CHOICES["cell"])
@pytest.mark.parametrize("weight_width", [12, 16])
def test_wide_weights(make_samples, cell, weight_width):
    program = random_network(
        weight_width, value="dense", cell=cell, weight_width=weight_width, state_width=16, recurrent=True
    )
    check(program, make_samples(program, 3))


@pytest.mark.parametrize("cell", ["lif", "ef-adlif", "se-adlif"])
@pytest.mark.parametrize("widths", [{}, {"synapses": 4, "constant": 12, "potential": 20}, {"synapses": 12}])
def test_lowered_networks(lowered_network, cell, widths):
    network = lowered_network(cell, **widths)
    trace = reference.run(network.program, network.samples)[0]
    rates = [float(trace.values[layer].mean()) for layer in ("cells/0", "cells/1")]
    assert 0.02 < min(rates) <= max(rates) < 0.6
    check(network.program, network.samples)


@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_at_every_optimization_level(make_samples, open_session, level, cell):
    program = random_network(5, value="dense", cell=cell, recurrent=True, layers=2, state_width=16)
    samples = make_samples(program, 3)
    out = open_session(build_sequence(program), level=level)(**feed(program, samples))
    for row, trace in enumerate(reference.run(program, samples)):
        np.testing.assert_array_equal(out["series"][row, : len(trace.series)], trace.series)
        np.testing.assert_array_equal(out["logits"][row], trace.logits)


@pytest.mark.parametrize("cell", CHOICES["cell"])
@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize("value", ["dense", "token"])
def test_step_by_step(make_samples, open_session, cell, recurrent, value):
    program = random_network(11, value=value, cell=cell, recurrent=recurrent, layers=2)
    samples = make_samples(program, 1)
    session = open_session(build_step(program, trace=["cells/0", "cells/1"]))
    states, inputs = session.states(len(samples)), feed(program, samples)
    traces = reference.run(program, samples)
    for step in range(inputs["valid"].shape[1]):
        out = session(**{name: array[:, step] for name, array in inputs.items()}, **states)
        states = {name: out[name.replace("state/", "next/", 1)] for name in states}
        for row, trace in enumerate(traces):
            now = min(step, len(trace.series) - 1)  # padding changes nothing
            if now < 0:
                continue
            np.testing.assert_array_equal(out["logits"][row], trace.values["logits"][now])
            np.testing.assert_array_equal(session.state(states, "readout")[row], trace.series[now])
            for name in ("cells/0", "cells/1"):
                parts = [
                    session.state(states, f"{name}/{part}")[row] for part in {"lif": "u", "cuba": "ui"}.get(cell, "uw")
                ]
                np.testing.assert_array_equal(np.concatenate(parts), trace.states[name][now])
                if now == step:
                    np.testing.assert_array_equal(out[f"trace/{name}"][row], trace.values[name][now])


@pytest.mark.parametrize("value", ["dense", "token"])
def test_running_logits_and_series_of_uneven_streams(make_samples, value):
    program = random_network(8, value=value, layers=2)
    samples = make_samples(program, 5)
    traces = reference.run(program, samples)
    running = run_step(Session(build_step(program).SerializeToString()), program, samples)
    session = Session(build_sequence(program).SerializeToString())
    found = run_samples(session, program, samples, batch_size=2)
    logits = run_sequence(session, program, samples, batch_size=2)
    for row, trace in enumerate(traces):
        np.testing.assert_array_equal(running[row], trace.values["logits"])
        np.testing.assert_array_equal(found[row]["series"], trace.series)
        np.testing.assert_array_equal(found[row]["logits"], trace.logits)
        np.testing.assert_array_equal(logits[row], trace.logits)


@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_steps_that_are_not_valid_change_nothing_wherever_they_lie(open_session, cell):
    program = random_network(21, value="dense", cell=cell, recurrent=True)
    session = open_session(build_sequence(program))
    inputs = feed(program, [random_sample(program, 2, 12)])
    expected = session(**inputs)
    where = np.sort(np.random.default_rng(1).choice(np.arange(1, 30), 12, replace=False))
    spread = {}
    for name, array in inputs.items():
        junk = np.full((1, 30, *array.shape[2:]), 1, array.dtype) if name == "value" else np.zeros((1, 30), array.dtype)
        junk[:, where] = array
        spread[name] = junk
    out = session(**spread)
    np.testing.assert_array_equal(out["logits"], expected["logits"])
    np.testing.assert_array_equal(out["series"][:, where], expected["series"])
    held = np.maximum(np.searchsorted(where, np.arange(where[0], 30), side="right") - 1, 0)
    np.testing.assert_array_equal(out["series"][:, where[0] :], expected["series"][:, held])


def test_integers_alone_and_no_sixteen_bit_saturation():
    """uint8 by int8 products are there for operands of at most 7 bits: pairs of them fit 16 bits on any CPU."""
    program = random_network(4, value="dense", cell="se", recurrent=True, input="real")
    model = build_sequence(program, dialect=INTEGER)
    body = next(
        attribute.g
        for node in model.graph.node
        for attribute in node.attribute
        if node.op_type == "Scan" and attribute.name == "body"
    )
    types = {tensor.name: tensor.data_type for tensor in body.initializer}
    names = {kind: getattr(onnx.TensorProto, kind) for kind in ("INT8", "INT32", "INT64", "UINT8", "BOOL")}
    assert set(types.values()) <= set(names.values())
    products = {
        (node.name.split("/MatMul")[0].removeprefix("event/"), types[node.input[1]])
        for node in operations(model.graph)
        if node.op_type == "MatMulInteger"
    }
    assert ("cells/0", names["UINT8"]) in products  # W on 8-bit values
    assert ("cells/0", names["INT8"]) in products  # V on spikes
    assert ("readout", names["INT8"]) in products


def test_it_says_what_it_is():
    program = random_network(3, value="dense", cell="se", layers=1)
    model = build_sequence(program)
    properties = {item.key: item.value for item in model.metadata_props}
    assert properties["series_frac"] == str(program["readout"].output.frac)
    assert properties["gap_units_us"] == "{}"
    assert all(value.doc_string for value in (*model.graph.input, *model.graph.output))
    docs = {node.doc_string for node in operations(model.graph)}
    assert any(text.startswith("AdaptiveLIF (se, u s") for text in docs)


@pytest.mark.parametrize("state_width", [8, 32])
def test_thresholds_at_the_ends_of_the_range(make_samples, state_width):
    program = random_network(5, value="dense", state_width=state_width, cell="se", hidden=6, layers=1)
    potential = program["cells/0"].potential
    for threshold in (potential.min - 1, potential.min, potential.max):
        layer = replace(program["cells/0"], threshold=np.full(6, threshold))
        nodes = tuple(layer if node.name == layer.name else node for node in program)
        check(replace(program, nodes=nodes), make_samples(program, 1))
