"""The QuantizeLinear form: near the program, of quantized operators, and without control flow."""

import numpy as np
import onnx
import pytest
from pumice.export.onnx import build_sequence, build_step
from pumice.export.onnx.feed import feed
from pumice.export.onnx.model import operations
from pumice.export.onnx.qdq import QDQ
from pumice.program import reference
from pumice.program.nodes import EventPool, Linear
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample
from pumice.program.transform import replace_readout

SETTINGS = {
    "plain": {},
    "timepool": {"pooling": "timepool", "head": "timepool", "expansion": 2},
    "batch norm, zoh": {"pooling": "last", "head": "last", "norm": "batch", "discretization": "zoh"},
    "one rate": {"stride": 1, "discretization": "dirac", "stages": 1},
    "dense": {"vocab": None, "in_features": 3, "clip_eigs": True, "conj_sym": False, "stride": 3},
}


def decibels(found, expected):
    return 10 * np.log10((expected**2).sum() / ((found - expected) ** 2).sum())


def logits_of(program, samples):
    found = np.stack([trace.logits for trace in reference.run(program, samples, trace=False)])
    return found * program[program.logits].output.scale


@pytest.mark.parametrize("name", SETTINGS)
def test_logits_are_near_the_program(lowered, open_session, name):
    network = lowered(**SETTINGS[name])
    session = open_session(build_sequence(network.program, dialect=QDQ))
    found = session(**feed(network.program, network.samples))["logits"]
    assert decibels(found, logits_of(network.program, network.samples)) > 25


@pytest.mark.parametrize("readout", [{"mode": "window", "window": 3}, {"mode": "forget", "decay_shift": 2}])
def test_read_outs_of_streams(lowered, open_session, readout):
    network = lowered()
    program = replace_readout(network.program, **readout)
    found = open_session(build_sequence(program, dialect=QDQ))(**feed(program, network.samples))["logits"]
    assert decibels(found, logits_of(program, network.samples)) > 25


def test_step_and_sequence_agree(lowered, open_session):
    network = lowered(pooling="timepool", head="timepool")
    inputs = feed(network.program, network.samples)
    expected = open_session(build_sequence(network.program, dialect=QDQ))(**inputs)["logits"]
    session = open_session(build_step(network.program, dialect=QDQ, branches=False))
    states = session.states(len(network.samples))
    for event in range(inputs["valid"].shape[1]):
        out = session(**{name: array[:, event] for name, array in inputs.items()}, **states)
        states = {name: out[name.replace("state/", "next/", 1)] for name in states}
    np.testing.assert_allclose(out["logits"], expected, atol=0.1)  # onnxruntime may fuse them differently


@pytest.mark.parametrize("seed", range(6))
def test_any_program_can_be_written(make_samples, open_session, seed):
    program = random_program(300 + seed, **({"sampled": "last", "pool": "last", "normed": False} if seed == 0 else {}))
    session = open_session(build_step(program, dialect=QDQ, branches=False))
    inputs = feed(program, make_samples(program, seed))
    states = {name: array + 1 for name, array in session.states(5).items()}
    out = session(**{name: np.zeros_like(array[:, 0]) for name, array in inputs.items()}, **states)
    for name, array in states.items():  # nothing is valid
        np.testing.assert_array_equal(out[name.replace("state/", "next/", 1)], array)
    assert np.isfinite(out["logits"]).all()


def test_it_is_quantized_throughout_and_has_no_control_flow(lowered):
    program = lowered().program
    model = build_step(program, dialect=QDQ, branches=False)
    kinds = [operation.op_type for operation in operations(model.graph)]
    assert not {"If", "Loop", "Scan"} & set(kinds)
    rounded = [n for n in program if n.inputs and n.output.width <= 16 and not isinstance(n, EventPool)]
    assert kinds.count("QuantizeLinear") >= len(rounded)
    made_by = {output: operation for operation in model.graph.node for output in operation.output}
    products = [operation for operation in model.graph.node if operation.op_type == "MatMul"]
    assert len(products) >= sum(isinstance(node, Linear) for node in program)
    assert all(made_by[product.input[1]].op_type == "DequantizeLinear" for product in products)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for product in products:
        codes = weights[made_by[product.input[1]].input[0]]
        assert codes.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.INT16)


def test_it_says_that_it_is_approximate(lowered):
    model = build_step(lowered().program, dialect=QDQ, branches=False)
    assert {item.key: item.value for item in model.metadata_props}["arithmetic"] == "approximate"
    assert "approximation" in model.doc_string


@pytest.mark.parametrize("cell", ["lif", "se", "ef"])
def test_spiking_networks_are_near_the_program(open_session, cell):
    """Potentials agree to a unit until rounding changes a spike, which is rare."""
    together = total = 0
    for seed in range(6):
        program = random_network(seed, value="dense", cell=cell, state_width=12, extreme=False)
        samples = [random_sample(program, 10 * seed + row, steps) for row, steps in enumerate((40, 1, 25))]
        inputs = feed(program, samples)
        out = open_session(build_sequence(program, dialect=QDQ))(**inputs)
        for row, trace in enumerate(reference.run(program, samples)):
            expected = trace.series * program["readout"].output.scale
            near = np.abs(out["series"][row, : len(expected)] - expected) <= program["readout"].output.scale
            together, total = together + int(near.sum()), total + near.size
    assert together > 0.95 * total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("value", ["dense", "token"])
def test_any_clocked_program_can_be_written(open_session, seed, value):
    program = random_network(40 + seed, value=value)
    model = build_step(program, dialect=QDQ, branches=False)
    weights = {tensor.data_type for tensor in model.graph.initializer}
    assert onnx.TensorProto.INT8 in weights
    session = open_session(model)
    states = {name: array + 0.25 for name, array in session.states(2).items() if name != "state/events"}
    states["state/events"] = np.zeros((2, 1), np.int64)
    given = (
        {"token": np.array([1, 2])} if value == "token" else {"value": np.ones((2, program["dense"].size), np.int32)}
    )
    out = session(**given, valid=np.array([False, True]), **states)
    for name, array in states.items():
        np.testing.assert_array_equal(out[name.replace("state/", "next/", 1)][0], array[0])
    assert np.isfinite(out["logits"]).all()
