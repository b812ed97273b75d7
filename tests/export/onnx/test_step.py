"""The step model: carried state, running value after every event."""

import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.onnx import build_step
from pumice.export.onnx.feed import feed
from pumice.program import reference
from pumice.program.random.programs import random_program


@pytest.mark.parametrize("seed", range(10))
def test_every_event_gives_the_reference_value(make_samples, open_session, seed):
    program = random_program(200 + seed, **({"real": True} if seed >= 8 else {}))
    samples = make_samples(program, seed)
    inputs = feed(program, samples)
    session = open_session(build_step(program, trace=["readout"]))
    states = session.states(len(samples))
    traces = reference.run(program, samples)
    for event in range(inputs["valid"].shape[1]):
        out = session(**{name: array[:, event] for name, array in inputs.items()}, **states)
        states = {name: out[name.replace("state/", "next/", 1)] for name in states}
        for row, trace in enumerate(traces):
            if inputs["valid"][row, event]:
                np.testing.assert_array_equal(out["logits"][row], trace.values[program.logits][event])
                np.testing.assert_array_equal(out["trace/readout"][row], trace.values["readout"][event])


def test_an_event_that_is_not_valid_keeps_every_state(make_samples, open_session):
    program = random_program(31, stride=2, readout="time")
    inputs = feed(program, make_samples(program, 1)[:1])
    session = open_session(build_step(program))
    rng = np.random.default_rng(0)
    states = {name: rng.integers(0, 100, array.shape).astype(array.dtype) for name, array in session.states(1).items()}
    inputs["valid"][:] = False
    out = session(**{name: array[:, 5] for name, array in inputs.items()}, **states)
    for name, array in states.items():
        np.testing.assert_array_equal(out[name.replace("state/", "next/", 1)], array)


def test_tracing_what_is_not_there_is_refused():
    with pytest.raises(PumiceError, match="no edge 'nothing'"):
        build_step(random_program(1), trace=["nothing"])
