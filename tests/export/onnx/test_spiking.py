"""Spiking state-space networks in ONNX: every value of every event against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.export.onnx import build_sequence, build_step, run_onnx
from pumice.export.onnx.feed import feed
from pumice.export.onnx.qdq import QDQ
from pumice.hw_sim.parity.compare import compare
from pumice.program import reference
from pumice.program.random.programs import random_sample
from pumice.program.random.spiking import CHOICES, random_spiking, random_spiking_events

BACKENDS = {
    "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
    "onnx": lambda program, samples, trace: run_onnx(program, samples, trace, batch_size=3),
}


def check(program, samples):
    """Logits, every edge and every state."""
    verdict = compare(program, samples, BACKENDS, traced=len(samples)).verdicts[0]
    assert verdict.differing == 0, verdict.first
    assert verdict.states[0] == verdict.states[1] >= 2
    assert verdict.values > 0


@pytest.mark.parametrize(
    ("choice", "value"), [(name, value) for name in CHOICES for value in sorted(set(CHOICES[name]))]
)
def test_every_choice(make_samples, choice, value):
    program = random_spiking(len(choice) + 7 * list(CHOICES).index(choice), **{choice: value})
    check(program, make_samples(program, 4))


@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_random_networks(seed):
    program = random_spiking(seed)
    check(program, [random_sample(program, seed % 1000 + row, steps) for row, steps in enumerate((9, 0, 1, 23))])


@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_random_networks_of_events(seed):
    program = random_spiking_events(seed)
    check(program, [random_sample(program, seed % 1000 + row, events) for row, events in enumerate((9, 0, 1, 33))])


def test_states_stay_where_no_event_is_valid(open_session):
    program = random_spiking(3, value="dense")
    for model in (build_step(program), build_step(program, dialect=QDQ, branches=False)):
        session = open_session(model)
        states = {name: array + 1 for name, array in session.states(2).items()}
        out = session(value=np.ones((2, 3), np.int32), valid=np.array([False, False]), **states)
        for name, array in states.items():
            np.testing.assert_array_equal(out[name.replace("state/", "next/", 1)], array)


def test_quantize_dequantize_spikes_as_the_program(open_session):
    """Currents agree to rounding, so that spikes do but at a threshold. Behind them lie tables of random codes."""
    current, neurons = "blocks/0/ssm", "blocks/0/neurons"
    same = total = 0
    for seed in range(6):
        program = random_spiking(
            seed, value="dense", norm="batch", state_width=16, potential_width=16, extreme=False, layers=1
        )
        samples = [random_sample(program, 10 * seed + row, steps) for row, steps in enumerate((20, 1, 25))]
        out = open_session(build_sequence(program, dialect=QDQ, trace=[current, neurons]))(**feed(program, samples))
        for row, trace in enumerate(reference.run(program, samples, trace=True)):
            steps, scale = len(trace.values[current]), program[current].output.scale
            apart = np.abs(out[f"trace/{current}"][row, :steps] - trace.values[current] * scale)
            assert np.median(apart) <= max(4 * scale, 0.002 * np.abs(trace.values[current] * scale).max())
            same += int((out[f"trace/{neurons}"][row, :steps] == trace.values[neurons]).sum())
            total += trace.values[neurons].size
    assert 0.99 * total < same
