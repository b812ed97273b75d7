"""What the integers are held against: noise, bits of states, time constants."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pumice.hw_sim.parity.fidelity import TRACED_AT_ONCE, signal_to_noise, spike_rates, state_bits, time_constants
from pumice.hw_sim.parity.noise import sqnr_of
from pumice.program import Program, reference
from pumice.program.nodes import DiagonalSSM
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample


@pytest.fixture(scope="module")
def traced():
    program = random_program(3, value="token", pairing="causal", stages=2, layers=1, stride=2)
    samples = [random_sample(program, seed, 23) for seed in range(2)]
    return program, reference.run(program, samples)


def test_a_state_one_unit_off_has_the_noise_of_one_unit(traced):
    program, traces = traced
    node = next(node for node in program if isinstance(node, DiagonalSSM))
    scale = np.exp2(-np.concatenate([node.state_frac, node.state_frac]).astype(float))
    key = f"{node.name}:state"
    floats = [{key: (trace.states[node.name] + 1) * scale} for trace in traces]
    signal = sum(float((values[key] ** 2).sum()) for values in floats)
    noise = sum(len(trace.states[node.name]) for trace in traces) * float((scale**2).sum())
    assert signal_to_noise(program, traces, floats)[key] == pytest.approx(10 * math.log10(signal / noise), abs=0.01)


def test_exact_values_have_no_noise_and_read_outs_are_compared_at_their_end(traced):
    program, traces = traced
    scale = 2.0 ** -program[program.logits].output.frac
    exact = [{program.logits: trace.logits[None] * scale} for trace in traces]
    assert signal_to_noise(program, traces, exact) == {program.logits: None}
    off = [{program.logits: trace.logits[None] * scale * 1.1} for trace in traces]
    assert signal_to_noise(program, traces, off)[program.logits] == pytest.approx(20 * math.log10(11), abs=0.01)


def test_state_bits_are_bit_lengths(traced):
    program, traces = traced
    for name, found in state_bits(program, traces).items():
        codes = [int(code) for trace in traces for code in trace.states[name].ravel()]
        expected = [sum(abs(code).bit_length() == bits for code in codes) for bits in range(found["width"] + 1)]
        assert found["counts"] == expected


def test_time_constants_follow_from_the_decay_of_one_tick(traced):
    program, _ = traced
    tick_ms = next(node.unit_us for node in program.gap_inputs if node.name == "gap") / 1000
    for name, values in time_constants(program).items():
        node = program[name]
        for mode, value in enumerate(values):
            one = 2 ** int(node.decay_exponent[0, mode])
            decay = abs(complex(one + int(node.decay_re[0, mode]), int(node.decay_im[0, mode]))) / one
            expected = None if decay == 1 else 0.0 if decay == 0 else -tick_ms / math.log(decay)
            assert value == (expected if not expected else pytest.approx(expected, abs=1e-4))


def test_a_mode_that_never_decays_has_no_time_constant(traced):
    program, _ = traced
    node = next(node for node in program if isinstance(node, DiagonalSSM))
    still = replace(node, decay_re=np.zeros_like(node.decay_re), decay_im=np.zeros_like(node.decay_im))
    nodes = tuple(still if entry.name == node.name else entry for entry in program)
    changed = Program(nodes=nodes, logits=program.logits, pairing=program.pairing, class_names=program.class_names)
    assert time_constants(changed)[node.name] == [None] * node.modes


@pytest.fixture(scope="module")
def clocked():
    program = random_network(8, value="dense", cell="se", layers=2, recurrent=True)
    return program, reference.run(program, [random_sample(program, seed, 40 + seed) for seed in range(2)])


def test_states_of_neurons_have_names_of_their_own(clocked):
    program, traces = clocked
    found = state_bits(program, traces)
    assert list(found) == ["cells/0:u", "cells/0:w", "cells/1:u", "cells/1:w", "readout"]
    for key, entry in found.items():
        node = program[key.partition(":")[0]]
        if key == "readout":
            held, width = [trace.series for trace in traces], node.output.width
        else:
            first = node.neurons if key.endswith("w") else 0
            held = [trace.states[node.name][:, first : first + node.neurons] for trace in traces]
            width = (node.adaptation if key.endswith("w") else node.potential).width
        codes = [int(code) for states in held for code in states.ravel()]
        assert entry["counts"] == [sum(abs(code).bit_length() == bits for code in codes) for bits in range(width + 1)]
        assert entry["width"] == width


def test_noise_of_neurons_is_in_the_units_of_each_state(clocked):
    program, traces = clocked
    node = program["cells/0"]
    u, w = 2.0**-node.potential.frac, 2.0**-node.adaptation.frac
    scale = np.repeat([u, w], node.neurons)
    floats = [{"cells/0:state": trace.states["cells/0"] * scale + scale} for trace in traces]
    signal = sum(float((values["cells/0:state"] ** 2).sum()) for values in floats)
    noise = sum(len(trace.states["cells/0"]) for trace in traces) * node.neurons * (u**2 + w**2)
    ratio = signal_to_noise(program, traces, floats)["cells/0:state"]
    assert ratio == pytest.approx(10 * math.log10(signal / noise), abs=0.01)


def test_time_constants_of_neurons_are_in_steps(clocked):
    program, _ = clocked
    found = time_constants(program)
    assert list(found) == ["cells/0:u", "cells/0:w", "cells/1:u", "cells/1:w", "readout"]
    decays = {"u": ("alpha", "alpha_frac"), "w": ("beta", "beta_frac"), "": ("decay", "decay_frac")}
    for key, values in found.items():
        name, _, state = key.partition(":")
        codes, frac = (getattr(program[name], what) for what in decays[state])
        expected = [-1 / math.log(int(code) / 2**frac) if code else 0.0 for code in codes]
        assert values == pytest.approx(expected, abs=1e-4)


def test_the_ratio_is_that_of_what_was_expected_to_what_is_off():
    expected, found = np.array([3.0, 4.0]), np.array([3.0, 14.0])
    assert sqnr_of(found, expected) == pytest.approx(10 * math.log10(25 / 100), abs=0.01)
    assert sqnr_of(expected, found) == pytest.approx(10 * math.log10(205 / 100), abs=0.01)
    assert sqnr_of(expected, expected) is None


def test_spike_rates_are_means_over_all_samples_neurons_and_steps():
    program = random_network(2, value="dense", cell="se", layers=2, hidden=4)
    samples = [random_sample(program, seed, 3 + seed) for seed in range(TRACED_AT_ONCE + 3)]
    rates = spike_rates(program, samples, threads=1)
    traces = reference.run(program, samples)
    assert set(rates) == {"cells/0", "cells/1"}
    for name, rate in rates.items():
        spikes = np.concatenate([trace.values[name] for trace in traces])
        assert rate == pytest.approx(spikes.mean())
        assert 0 < rate < 1
