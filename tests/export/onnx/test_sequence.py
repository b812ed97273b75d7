"""The sequence model against the reference: every edge, every state, every logit of every event."""

import numpy as np
import onnx
import pytest
from pumice.errors import PumiceError
from pumice.export.onnx import build_sequence, run_onnx
from pumice.export.onnx.feed import feed
from pumice.export.onnx.integer import INTEGER
from pumice.hw_sim.parity.compare import compare
from pumice.program import digest, reference
from pumice.program.nodes import QUERY, DiagonalSSM
from pumice.program.random.programs import random_program, random_sample

LAYER = {"stages": 1, "layers": 1, "pairing": "causal"}


def compare_all(program, samples, session):
    """Assert that the traced model and the reference hold the same integers."""
    edges = [name.removeprefix("trace/") for name in session.names if name.startswith("trace/")]
    out = session(**feed(program, samples))
    for row, trace in enumerate(reference.run(program, samples)):
        np.testing.assert_array_equal(out["logits"][row], trace.logits)
        for name in edges:
            node = name.removeprefix("state/")
            rate = program.rates[node]
            expected = (trace.states if name.startswith("state/") else trace.values)[node]
            events = len(trace.values[program.value_input.name])
            np.testing.assert_array_equal(out[f"trace/{name}"][row, :events][rate - 1 :: rate], expected, name)


def traced(program):
    edges = [node.name for node in program if program.rates[node.name] != QUERY and node.inputs]
    return edges + [f"state/{node.name}" for node in program if isinstance(node, DiagonalSSM)]


def check(program, samples, open_session, **options):
    model = build_sequence(program, trace=traced(program))
    compare_all(program, samples, open_session(model, **options))


@pytest.mark.parametrize("discretization", ["async", "zoh"])
@pytest.mark.parametrize("extreme", [False, True])
def test_one_layer(make_samples, open_session, level, discretization, extreme):
    program = random_program(3, stride=1, discretization=discretization, extreme=extreme, state_width=16, **LAYER)
    check(program, make_samples(program, 1), open_session, level=level)


@pytest.mark.parametrize("pool", ["first", "last", "mean", "time"])
@pytest.mark.parametrize("stride", [3, 4])
def test_one_strided_layer(make_samples, open_session, level, pool, stride):
    program = random_program(5, stride=stride, pool=pool, state_width=16, **LAYER)
    check(program, make_samples(program, 2), open_session, level=level)


@pytest.mark.parametrize("discretization", ["async", "zoh"])
@pytest.mark.parametrize("state_width", [16, 32])
def test_real_modes(make_samples, open_session, level, discretization, state_width):
    program = random_program(
        4, real=True, stages=2, discretization=discretization, state_width=state_width, normed=False, sampled="mean"
    )
    check(program, make_samples(program, 3), open_session, level=level)


@pytest.mark.parametrize("seed", range(24))
def test_random_programs(make_samples, open_session, seed):
    program = random_program(100 + seed)
    check(program, make_samples(program, seed), open_session)


def test_a_backend_of_the_comparison():
    program = random_program(12, stride=3, stages=2)
    samples = [random_sample(program, row, 5 + 9 * row) for row in range(5)]
    backends = {
        "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
        "onnx": lambda program, samples, trace: run_onnx(program, samples, trace, batch_size=2),
    }
    verdict = compare(program, samples, backends, traced=5).verdicts[0]
    assert verdict.differing == 0, verdict.first
    assert verdict.states[0] == verdict.states[1] >= 2


@pytest.mark.parametrize("readout", ["mean", "time", "last", "window", "forget"])
@pytest.mark.parametrize("stride", [1, 4])
def test_read_outs(make_samples, open_session, readout, stride):
    program = random_program(8, readout=readout, stride=stride, stages=2, layers=1)
    check(program, make_samples(program, 3), open_session)


@pytest.mark.parametrize("seed", range(4))
def test_an_event_that_is_not_valid_changes_nothing(make_samples, open_session, seed):
    program = random_program(40 + seed)
    samples = make_samples(program, seed)
    session = open_session(build_sequence(program))
    inputs = feed(program, samples)
    expected = session(**inputs)["logits"]
    rng = np.random.default_rng(seed)
    batch, length = inputs["valid"].shape
    where = np.sort(rng.permutation(length + 20)[:length])
    for name, array in inputs.items():
        spread = np.zeros((batch, length + 20, *array.shape[2:]), dtype=array.dtype)
        if array.dtype != bool:
            spread[...] = rng.integers(-5, 100, spread.shape)
        spread[:, where] = array
        inputs[name] = spread
    np.testing.assert_array_equal(session(**inputs)["logits"], expected)


def test_a_batch_without_events(open_session):
    program = random_program(2, value="token", pairing="causal")
    empty = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    logits = open_session(build_sequence(program))(**feed(program, [empty, empty]))["logits"]
    np.testing.assert_array_equal(logits[0], reference.run(program, [empty])[0].logits)


def test_the_model_holds_integers_alone():
    model = build_sequence(random_program(6, norm="layer", pool="time", stride=3), dialect=INTEGER)
    allowed = {getattr(onnx.TensorProto, kind) for kind in ("INT8", "INT32", "INT64", "UINT8", "BOOL")}
    seen = set()
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        seen |= {tensor.data_type for tensor in graph.initializer}
        values = [*graph.value_info, *graph.input, *graph.output]
        seen |= {value.type.tensor_type.elem_type for value in values} - {0}
        graphs += [item.g for node in graph.node for item in node.attribute if item.type == onnx.AttributeProto.GRAPH]
    assert seen <= allowed
    assert {"event"} == {g.name for n in model.graph.node for g in (a.g for a in n.attribute) if g.name}


def test_metadata_and_versions():
    program = random_program(7)
    model = build_sequence(program)
    properties = {item.key: item.value for item in model.metadata_props}
    assert properties["program_digest"] == digest(program)
    assert properties["class_names"] == '["a", "b", "c"]'
    assert properties["gap_units_us"] == '{"gap": 500, "pool_gap": 1}'
    assert (model.ir_version, model.opset_import[0].version) == (8, 16)


def test_tracing_what_is_not_there_is_refused():
    with pytest.raises(PumiceError, match="'nothing' has no value at each event"):
        build_sequence(random_program(1), trace=["nothing"])
