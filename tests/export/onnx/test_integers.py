"""Models of integer tensors alone, with a state an input: the same integers as those in float64, edge by edge."""

import numpy as np
import pytest
from pumice.export.onnx import build_sequence, build_step
from pumice.export.onnx.feed import feed
from pumice.export.onnx.integer import INTEGER
from pumice.export.onnx.session import Session, run_step
from pumice.program import reference
from pumice.program.nodes import QUERY
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program
from pumice.program.random.spiking import random_spiking, random_spiking_events

MAKERS = (random_program, random_network, random_spiking, random_spiking_events)


def zoh(seed):
    """Events at equal times hold the state."""
    return random_program(seed, discretization="zoh")


def held_neurons(seed):
    """A potential may reach the threshold while it is held."""
    return random_network(seed, refractory=3, recurrent=True, value="dense")


EVERY = (*MAKERS, zoh, held_neurons)


@pytest.mark.parametrize(("make", "opset"), [*((make, None) for make in EVERY), *((make, 18) for make in MAKERS)])
def test_every_edge_of_random_programs(make_samples, open_session, make, opset):
    for seed in range(3):
        program = make(700 + seed)
        samples = make_samples(program, seed)
        edges = [node.name for node in program if program.rates[node.name] != QUERY and node.inputs]
        found = open_session(build_sequence(program, edges, dialect=INTEGER, opset=opset))(**feed(program, samples))
        for row, trace in enumerate(reference.run(program, samples)):
            np.testing.assert_array_equal(found["logits"][row], trace.logits)
            for edge in edges:
                rate, events = program.rates[edge], len(trace.values[program.value_input.name])
                got = found[f"trace/{edge}"][row, :events][rate - 1 :: rate]
                np.testing.assert_array_equal(got, trace.values[edge], edge)


@pytest.mark.parametrize("make", MAKERS)
def test_running_logits_of_streams(make_samples, make):
    program = make(710)
    samples = make_samples(program, 1)
    session = Session(build_step(program, dialect=INTEGER).SerializeToString())
    assert {f"state/{name}" for name in session.states(1)} != {"state/codes", "state/sums"}
    for found, trace in zip(run_step(session, program, samples), reference.run(program, samples), strict=True):
        np.testing.assert_array_equal(found, trace.values[program.logits])


@pytest.mark.parametrize("make", EVERY)
def test_an_event_that_is_not_valid_changes_nothing(make_samples, open_session, make):
    """Wherever it lies, and whatever it holds: also in the middle of a window."""
    for seed in (720, 721):
        program = make(seed)
        samples = make_samples(program, 2)
        inputs = feed(program, samples)
        batch, length = inputs["valid"].shape
        rng = np.random.default_rng(seed)
        session = open_session(build_sequence(program, dialect=INTEGER))
        spread = {name: np.zeros((batch, 2 * length, *array.shape[2:]), array.dtype) for name, array in inputs.items()}
        where = np.sort(rng.permuted(np.tile(np.arange(2 * length), (batch, 1)), axis=1)[:, :length], axis=1)
        rows = np.arange(batch)[:, None]
        for name, array in inputs.items():
            if name != "valid":
                spread[name][:] = array[:, :1]  # what the program takes, and must not take here
            spread[name][rows, where] = array
        found = session(**spread)["logits"]
        for row, trace in enumerate(reference.run(program, samples)):
            np.testing.assert_array_equal(found[row], trace.logits)
