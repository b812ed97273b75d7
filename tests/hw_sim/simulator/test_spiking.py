"""The simulator on spiking state-space networks: both modes against the reference."""

from __future__ import annotations

import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.hw_sim.simulator import opcodes
from pumice.program.nodes import ChannelSSM, DrivenLIF
from pumice.program.random.programs import random_sample
from pumice.program.random.spiking import CHOICES, random_spiking, random_spiking_events

OPTIONS = [(what, value) for what, values in CHOICES.items() for value in dict.fromkeys(values)]


@pytest.mark.parametrize(("what", "value"), OPTIONS, ids=[f"{what}-{value}" for what, value in OPTIONS])
def test_both_modes_equal_the_reference(assert_equal, what, value):
    program = random_spiking(5 + len(what), **{what: value})
    assert_equal(program, [random_sample(program, seed, steps) for seed, steps in enumerate((0, 1, 9, 130))])


@given(seed=st.integers(0, 10**9), steps=st.lists(st.integers(0, 70), min_size=1, max_size=3))
@settings(max_examples=examples(100), deadline=None)
def test_random_networks_equal_the_reference(assert_equal, seed, steps):
    program = random_spiking(seed)
    assert_equal(program, [random_sample(program, seed + k, n) for k, n in enumerate(steps)])


@given(seed=st.integers(0, 10**9), events=st.lists(st.integers(0, 70), min_size=1, max_size=3))
@settings(max_examples=examples(100), deadline=None)
def test_random_networks_of_events_equal_the_reference(assert_equal, seed, events):
    """A neuron makes a step for each window of its state space, and none between."""
    program = random_spiking_events(seed)
    assert_equal(program, [random_sample(program, seed + k, n) for k, n in enumerate(events)])


@pytest.mark.parametrize("state_width", [16, 20])
def test_layers_of_more_than_a_vector(assert_equal, records, state_width):
    """The narrow tier and the wide one, each with loops longer than a vector."""
    program = random_spiking(
        2,
        value="dense",
        norm="batch",
        width=33,
        modes=7,
        state_width=state_width,
        potential_width=16,
        weight_width=4,
        activation_width=8,
        extreme=False,
        layers=2,
    )
    assert_equal(program, [random_sample(program, 0, 100)])
    kinds = dict(records(program))
    assert kinds[opcodes.CHANNELS] == (opcodes.IS_WIDE if state_width > 16 else opcodes.IS_NARROW)
    assert len(program.of_type(ChannelSSM)) == len(program.of_type(DrivenLIF)) == 2
