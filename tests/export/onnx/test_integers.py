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


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("opset", [None, 18])
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
