"""What the simulator refuses, exported models do not take for something else."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.export.about import input_ranges
from pumice.export.onnx.feed import feed
from pumice.export.onnx.sequence import build_sequence
from pumice.export.onnx.session import Session, lies_within
from pumice.export.onnx.step import build_step
from pumice.hw_sim.simulator import Simulator
from pumice.program import ProgramError
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

EVENT = 3


@pytest.fixture(scope="module", params=["sequence", "step"])
def model(request):
    """A model of a program whose pools weigh by time, one batch of inputs, and onnxruntime's own session."""
    program = random_program(2, value="token", pairing="causal", readout="time")
    inputs = feed(program, [random_sample(program, 1, 16)])
    build = build_sequence if request.param == "sequence" else build_step
    session = Session(build(program).SerializeToString())
    if request.param == "step":
        inputs = {name: array[:, EVENT] for name, array in inputs.items()} | session.states(1)
    return program, session, inputs


def changed(inputs, name, value):
    copied = {key: array.copy() for key, array in inputs.items()}
    copied[name][(0,) if copied[name].ndim == 1 else (0, EVENT)] = value
    return copied


def raw(session, inputs):
    outputs = session._session.run(None, {name: inputs[name] for name in session.inputs})
    return dict(zip(session.outputs, outputs, strict=True))


@pytest.mark.parametrize("token", [-1, -11, 11, 1 << 32])
def test_tokens_outside_the_vocabulary_are_refused_by_the_graph_and_by_the_host(model, token):
    program, session, inputs = model
    assert program.value_input.vocab == 11
    wrong = changed(inputs, "token", token)
    with pytest.raises(Exception, match="indices element out of data bounds"):
        raw(session, wrong)
    with pytest.raises(PumiceError, match=rf"token {token} at \(0.* lies outside 0 to 10"):
        session.run(wrong)
    with pytest.raises(ProgramError):
        Simulator(program).step(token, 0)


def test_gaps_outside_what_sums_hold_are_limited_by_the_graph_and_refused_by_the_host(model):
    program, session, inputs = model
    for node in program.gap_inputs:
        low, high = input_ranges(program)[node.name]
        assert low == 0
        assert (high - 1) * node.unit_us <= program.max_duration_us < (high + 1) * node.unit_us
        late = ((high + 1, high), ((1 << 63) - 1, high)) if node.name == "pool_gap" else ()  # the other is no weight
        for value, limit in ((-5, 0), (-(1 << 62), 0), *late):
            wrong, limited = (raw(session, changed(inputs, node.name, gap)) for gap in (value, limit))
            assert all(np.array_equal(wrong[name], limited[name]) for name in wrong)
        for value in (-1, high + 1):
            with pytest.raises(PumiceError, match=rf"{node.name} {value} at \(0.* lies outside 0 to {high}"):
                session.run(changed(inputs, node.name, value))


def test_events_that_are_not_valid_may_hold_anything(model):
    _, session, inputs = model
    padded = changed(inputs, "valid", False)
    expected = raw(session, padded)
    for name, value in (("token", -1), ("token", 99), ("gap", -7)):
        found = session.run(changed(padded, name, value))
        assert all(np.array_equal(found[output], expected[output]) for output in expected)


def test_codes_outside_their_format_are_refused_by_the_host():
    program = replace(random_network(0, value="dense", inputs=3), step_us=4000)
    session = Session(build_step(program).SerializeToString())
    form = program.value_input.output
    event = {"value": np.full((1, 3), form.max, np.int32), "valid": np.array([True])} | session.states(1)
    session.run(event)
    event["value"][0, 2] = form.max + 1
    with pytest.raises(PumiceError, match=rf"value {form.max + 1} at \(0, 2\) lies outside {form.min} to {form.max}"):
        session.run(event)
    about = session._session.get_modelmeta().custom_metadata_map
    assert about["step_us"] == "4000"
    assert json.loads(about["input_ranges"]) == {"value": [form.min, form.max]}


@given(
    numbers=st.lists(st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(-200, 300), min_size=1, max_size=60),
    ends=st.sampled_from([(0, 255), (0, 11), (-128, 127), (-5, 9), (-(1 << 31), (1 << 31) - 1)]),
    wide=st.booleans(),
    times=st.sampled_from([1, 30]),
)
def test_all_that_lies_outside_is_seen(numbers, ends, wide, times):
    """Of few numbers, which are looked at one by one, and of many."""
    (low, high), numbers = ends, numbers * times
    clipped = np.clip(numbers, low, high)
    beside = [clipped.copy() for _ in range(4)]
    for values, other in zip(beside, (low - 1, high + 1, -1, (1 << 31) - 1), strict=True):
        values[len(values) // 2] = np.clip(other, -(1 << 31), (1 << 31) - 1)
    for values in (np.array(numbers), clipped, *beside):
        given = values.astype(np.int64 if wide else np.int32)
        assert lies_within(given, low, high) == all(low <= number <= high for number in values.tolist())


@pytest.mark.parametrize("text", ["{", "[]", '{"token": 3}', '{"token": [0]}'])
def test_damaged_metadata_are_a_sentence(text):
    model = build_step(random_program(2, value="token"))
    (entry,) = (entry for entry in model.metadata_props if entry.key == "input_ranges")
    entry.value = text
    with pytest.raises(PumiceError, match=r"has damaged metadata .*; write it anew"):
        Session(model.SerializeToString())


def test_a_foreign_input_in_the_metadata_is_a_sentence(model):
    _, session, inputs = model
    session._ranges = {**session._ranges, "tokem": (0, 1)}
    try:
        with pytest.raises(PumiceError, match="checks an input 'tokem', which is not given"):
            session.run(inputs)
    finally:
        del session._ranges["tokem"]
