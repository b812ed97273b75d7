"""The reference against a second reading of the node docstrings (conftest.py), on programs of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.program import reference
from pumice.program.random.networks import CHOICES as NETWORK_CHOICES
from pumice.program.random.networks import random_network
from pumice.program.random.programs import CHOICES, random_program, random_sample
from pumice.program.random.spiking import CHOICES as SPIKING_CHOICES
from pumice.program.random.spiking import random_spiking, random_spiking_events

OPTIONS = [(what, value) for what, values in CHOICES.items() for value in dict.fromkeys(values)]


@pytest.mark.parametrize(("what", "value"), OPTIONS, ids=[f"{what}-{value}" for what, value in OPTIONS])
def test_every_choice_follows_the_equations(follow, what, value):
    program = random_program(len(what), **{what: value})
    follow(program, random_sample(program, 1, 23))


@given(seed=st.integers(0, 10**6), events=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_random_programs_follow_the_equations(follow, seed, events):
    program = random_program(seed)
    follow(program, random_sample(program, seed + 1, events))


NETWORK_OPTIONS = [(what, value) for what, values in NETWORK_CHOICES.items() for value in dict.fromkeys(values)]


@pytest.mark.parametrize(("what", "value"), NETWORK_OPTIONS, ids=[f"{what}-{value}" for what, value in NETWORK_OPTIONS])
def test_every_choice_of_neurons_follows_the_equations(follow, what, value):
    program = random_network(len(what), **{what: value})
    follow(program, random_sample(program, 1, 25))


@given(seed=st.integers(0, 10**6), events=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_random_networks_follow_the_equations(follow, seed, events):
    program = random_network(seed)
    follow(program, random_sample(program, seed + 1, events))


@pytest.mark.parametrize("cell", NETWORK_CHOICES["cell"])
@pytest.mark.parametrize("weight_width", [12, 16])
def test_networks_of_wide_weights_follow_the_equations(follow, cell, weight_width):
    program = random_network(
        weight_width, value="dense", cell=cell, weight_width=weight_width, state_width=16, recurrent=True
    )
    follow(program, random_sample(program, 3, 20))


SPIKING_OPTIONS = [(what, value) for what, values in SPIKING_CHOICES.items() for value in dict.fromkeys(values)]


@pytest.mark.parametrize(("what", "value"), SPIKING_OPTIONS, ids=[f"{what}-{value}" for what, value in SPIKING_OPTIONS])
def test_every_choice_of_spiking_state_spaces_follows_the_equations(follow, what, value):
    program = random_spiking(len(what), **{what: value})
    follow(program, random_sample(program, 1, 25))


@given(seed=st.integers(0, 10**6), events=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_random_spiking_state_spaces_follow_the_equations(follow, seed, events):
    program = random_spiking(seed)
    follow(program, random_sample(program, seed + 1, events))


@given(seed=st.integers(0, 10**6), events=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_random_spiking_networks_of_events_follow_the_equations(follow, seed, events):
    program = random_spiking_events(seed)
    follow(program, random_sample(program, seed + 1, events))


def test_the_series_of_a_network_is_kept_without_a_trace():
    program = random_network(4, value="dense")
    samples = [random_sample(program, seed, events) for seed, events in enumerate((0, 12, 5))]
    for plain, traced in zip(
        reference.run(program, samples, trace=False), reference.run(program, samples), strict=True
    ):
        assert not plain.values
        np.testing.assert_array_equal(plain.series, traced.values[program.series])
        np.testing.assert_array_equal(plain.series[-1:], traced.logits[None][: len(plain.series)])


def test_without_events_the_logits_are_the_decoders_bias():
    program = random_program(3, readout="mean", extreme=False)
    (trace,) = reference.run(program, [random_sample(program, 0, 0)])
    decoder = program[program.logits]
    assert trace.incomplete
    np.testing.assert_array_equal(trace.logits, np.left_shift(decoder.bias, -decoder.output_shift))


def test_a_batch_changes_nothing():
    program = random_program(5, stride=3, stages=2)
    samples = [random_sample(program, seed, events) for seed, events in enumerate((0, 40, 1, 7, 25))]
    together = reference.run(program, samples, trace=False, batch_size=3)
    for sample, trace in zip(samples, together, strict=True):
        (alone,) = reference.run(program, [sample])
        np.testing.assert_array_equal(alone.logits, trace.logits)
        assert alone.saturations == trace.saturations
        assert alone.incomplete == trace.incomplete
