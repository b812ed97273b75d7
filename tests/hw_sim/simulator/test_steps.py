"""A live stream of a clocked program, called by events alone; and odd kinds of input, one event at a time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.hw_sim.simulator import Simulator, run, run_stepwise
from pumice.program import ProgramError, reference
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program

STEP = 1000


@pytest.fixture(scope="module")
def program():
    return replace(random_network(0, value="dense", inputs=3, cell="se"), step_us=STEP)


@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 12), max_size=4))
@settings(max_examples=25, deadline=None)
def test_a_stream_filled_in_equals_every_step(program, seed, cuts):
    rng = np.random.default_rng(seed)
    steps = np.flatnonzero(rng.random(40) < 0.3)
    dense = np.zeros((40, 3))
    dense[steps] = rng.integers(1, 4, (len(steps), 3))
    if not len(steps):
        return
    times = 77 + STEP * np.arange(40)
    first, last = steps[0], steps[-1]
    (whole,) = reference.run(program, [(dense[first : last + 1], times[first : last + 1])])
    for function in (run, run_stepwise):
        (trace,) = function(program, [(dense[steps], times[steps])], empty_steps="fill")
        assert np.array_equal(trace.series, whole.series)
    one, many = (Simulator(program, empty_steps="fill") for _ in range(2))
    stepped = [one.step(dense[step], int(times[step]))[0] for step in steps]
    chunks = np.split(steps, sorted(min(cut, len(steps)) for cut in cuts))
    read = np.concatenate([many.step_many(dense[chunk], times[chunk])[0] for chunk in chunks])
    assert np.array_equal(stepped, read)
    assert np.array_equal(read[-1], whole.logits)
    assert one.events == many.events == last - first + 1
    one.advance(np.zeros((1, 3)), np.array([times[39] + STEP]))  # the silence after the last event
    assert one.events == 41 - first


def test_steps_left_out_change_nothing_but_are_refused(program):
    simulator = Simulator(program)
    simulator.step(np.ones(3), 0)
    before = simulator.read()
    with pytest.raises(ProgramError, match="event 0 comes 3 steps of 1000 us after the one before it"):
        simulator.step(np.ones(3), 3 * STEP)
    with pytest.raises(ProgramError, match="lies 500 us after the last one, no multiple"):
        simulator.advance(np.ones((1, 3)), np.array([500]))
    with pytest.raises(ProgramError, match="falls into the same step"):
        simulator.step(np.ones(3), 0)
    with pytest.raises(ProgramError, match="event 0 at -1000 us lies before the event at 0 us"):
        simulator.step(np.ones(3), -STEP)
    assert np.array_equal(simulator.read(), before)
    assert simulator.events == 1
    simulator.step(np.ones(3), STEP)
    with pytest.raises(ProgramError, match="empty_steps='never' is unknown"):
        Simulator(program, empty_steps="never")


def test_a_refused_event_leaves_no_empty_steps_behind(program):
    simulator = Simulator(program, empty_steps="fill")
    simulator.step(np.ones(3), 0)
    with pytest.raises(ProgramError, match="NaN"):
        simulator.step(np.full(3, np.nan), 5 * STEP)
    assert simulator.events == 1
    with pytest.raises(ProgramError, match="cut the recording there"):
        simulator.step(np.ones(3), STEP << 40)
    assert simulator.events == 1


def test_the_live_stream_takes_and_refuses_what_samples_may_be():
    dense, tokens = (random_program(2, value=value, pairing="causal") for value in ("dense", "token"))
    spikes = np.array([True, False] * dense.value_input.size)[: dense.value_input.size]
    for kind in (bool, np.int8, np.float32):
        expected, _ = Simulator(dense).step(spikes.astype(np.float64), 0)
        assert np.array_equal(Simulator(dense).step(spikes.astype(kind), 0)[0], expected)
    for strange in (spikes.astype(object), spikes.astype(str), np.ma.array(spikes, mask=spikes)):
        with pytest.raises(ProgramError, match="values are"):
            Simulator(dense).step(strange, 0)
    for token, time in ((True, 0), (np.True_, 0), (0, False), (0, np.uint64(2**63)), (0, 1.0)):
        with pytest.raises(ProgramError, match="an integer token and a time in whole microseconds"):
            Simulator(tokens).step(token, time)


def test_the_event_named_is_compared_with_the_one_before_it():
    program = random_program(2, value="token", pairing="causal")
    with pytest.raises(ProgramError, match="event 2 at 2 us lies before the event at 5 us"):
        Simulator(program).step_many(np.array([0, 1, 2]), np.array([0, 5, 2]))
