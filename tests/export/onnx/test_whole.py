"""Whole samples other than event by event: logits and series against the reference, wherever valid events lie."""

from dataclasses import replace

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.export.onnx import build_sequence
from pumice.export.onnx.doubles import whole
from pumice.export.onnx.doubles.whole import chain, currents
from pumice.export.onnx.feed import feed
from pumice.export.onnx.opset import operations
from pumice.program import reference
from pumice.program.nodes.resets import RESETS
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

LENGTHS = (13, 1, 24, 0, 7)


def spread(inputs, seed):
    """The same events with others between them that are not valid, and where they lie: (B, L) bool."""
    rng = np.random.default_rng(seed)
    batch, length = inputs["valid"].shape
    where = np.zeros((batch, length + 9), dtype=bool)
    made = {name: rng.integers(-9, 99, (*where.shape, *array.shape[2:])) for name, array in inputs.items()}
    for row in range(batch):
        where[row, rng.permutation(length + 9)[:length]] = True
        for name, array in inputs.items():
            made[name][row, where[row]] = array[row]
    made = {name: array.astype(inputs[name].dtype) for name, array in made.items()}
    made["valid"] = np.zeros(where.shape, dtype=bool)
    made["valid"][where] = inputs["valid"].ravel()
    return made


def check(program, open_session, seed, **options):
    assert whole.is_known(program)
    shortest = 1 if program.pairing == "next" else 0
    samples = [random_sample(program, seed % 1000 + row, max(length, shortest)) for row, length in enumerate(LENGTHS)]
    session, given = open_session(build_sequence(program), **options), feed(program, samples)
    traces = reference.run(program, samples)
    for inputs in (given, spread(given, seed)):
        found = session(**inputs)
        for row, trace in enumerate(traces):
            np.testing.assert_array_equal(found["logits"][row], trace.logits)
            if trace.series is not None:
                places = np.cumsum(inputs["valid"][row])
                series = np.concatenate([np.zeros_like(trace.series[:1]), trace.series])
                expected = series[places] if len(trace.series) else np.zeros_like(found["series"][row])
                np.testing.assert_array_equal(found["series"][row], expected)


@settings(max_examples=examples(30), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    cell=st.sampled_from(["lif", "se", "ef"]),
    reset=st.sampled_from(RESETS),
    width=st.sampled_from([8, 16, 24]),
    dense=st.booleans(),
)
def test_layers_of_neurons_in_one_scan(open_session, seed, cell, reset, width, dense):
    """With one matrix for all layers, and with a product a layer."""
    program = random_network(seed, cell=cell, reset=reset, refractory=0, state_width=width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole.neurons, "DENSE", 1 << 20 if dense else 0)
        check(program, open_session, seed)


def stretched(program, rng):
    """The same network with weights of 16 bits before the read-out, and fractional bits far apart."""

    def change(node):
        if hasattr(node, "weight_frac"):
            return replace(node, weight_width=16, weight=rng.integers(-32767, 32768, node.weight.shape))
        if hasattr(node, "recurrent_frac"):
            return replace(node, recurrent_frac=node.recurrent_frac - 15, input_frac=node.input_frac + 5)
        return node

    return replace(program, nodes=tuple(change(node) for node in program))


@settings(max_examples=examples(25), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    cell=st.sampled_from(["lif", "se", "ef"]),
    layers=st.sampled_from([1, 2, 3, 4]),
    width=st.sampled_from([8, 24]),
    dense=st.booleans(),
    far=st.booleans(),
)
def test_spikes_of_all_bounds(open_session, seed, cell, layers, width, dense, far):
    """Currents that are rounded and ones that are not, products that fit float32 and ones that do not."""
    fixed = {"reset": "zero", "refractory": 0, "recurrent": True, "extreme": True, "weight_width": 8, "hidden": 3}
    program = random_network(seed, cell=cell, state_width=width, layers=layers, constant_width=8, **fixed)
    if far:
        program = stretched(program, np.random.default_rng(seed))
    found = chain.chain_of(program)
    assert layers == 1 or currents.fits_single(found) != far
    assert found.exact == all((node.current_shift <= 0).all() for node in found.layers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole.neurons, "DENSE", 1 << 20 if dense else 0)
        check(program, open_session, seed)


@settings(max_examples=examples(30), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    pool=st.sampled_from(["first", "last", "mean", "time"]),
    readout=st.sampled_from(["mean", "time", "last"]),
    discretization=st.sampled_from(["async", "zoh"]),
    stride=st.sampled_from([1, 3, 4]),
)
def test_state_space_layers(open_session, seed, **choices):
    check(random_program(seed, **choices), open_session, seed)


@pytest.mark.parametrize("real", [False, True])
def test_every_level_of_optimization(open_session, level, real):
    check(random_program(3, stride=2, readout="mean", real=real), open_session, 5, level=level)
    check(random_network(3, cell="se", reset="zero", refractory=0, state_width=16), open_session, 5, level=level)


def test_models_of_the_default_settings_are_written_so(lowered, lowered_network):
    programs = [lowered().program, lowered(head="timepool", pooling="timepool").program]
    programs += [lowered_network(cell).program for cell in ("se-adlif", "ef-adlif", "lif")]
    for program in programs:
        model = build_sequence(program)
        scans = [operation for operation in operations(model.graph) if operation.op_type == "Scan"]
        loops = [operation for operation in operations(model.graph) if operation.op_type in ("Loop", "If")]
        assert scans
        assert not loops
        assert max(len(attribute.g.node) for scan in scans for attribute in scan.attribute) < 32


def test_others_go_event_by_event():
    for program in (
        random_program(1, readout="window"),
        random_network(1, cell="cuba"),
        random_network(1, refractory=3),
    ):
        assert not whole.is_known(program)
