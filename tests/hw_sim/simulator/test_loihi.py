"""The simulator on networks of Loihi's neurons: both modes against the reference, and the reference against a loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.hw_sim.simulator import Simulator, run
from pumice.program import Format, Program, ProgramError, reference
from pumice.program.nodes import SPIKES, DenseInput, LoihiLIF, Readout
from pumice.program.random.loihi import CHOICES, random_loihi
from pumice.program.random.programs import random_sample


def layer(**changed):
    """One neuron that takes one spike."""
    values = {
        "name": "cells/0",
        "inputs": ("dense",),
        "output": SPIKES,
        "format": Format(8, False, 0),
        "weight": np.array([[2]]),
        "recurrent": np.zeros((1, 0), dtype=np.int64),
        "weight_bits": 8,
        "weight_exponent": 0,
        "bias": np.array([0]),
        "du": 4095,
        "dv": 0,
        "vth": 1000,
    }
    return LoihiLIF(**{**values, **changed})


@pytest.fixture
def trace_of(assert_equal):
    """``trace_of(node, values)``: the trace of a network of this layer alone, the same in both modes."""
    return lambda node, values: _trace_of(assert_equal, node, values)


def _trace_of(assert_equal, node, values):
    nodes = [DenseInput(name="dense", inputs=(), output=node.format, size=node.weight.shape[1]), node]
    formats = {"output": SPIKES, "format": SPIKES, "size": node.neurons}
    settings = {"mode": "last", "extra_bits": 0, "window": 0, "decay_shift": 0}
    readout = Readout(name="logits", inputs=(node.name,), **formats, **settings)
    names = tuple(map(str, range(node.neurons)))
    program = Program(nodes=(*nodes, readout), logits="logits", pairing="causal", class_names=names)
    sample = (np.array(values, dtype=np.float64), np.arange(len(values)))
    (found,) = reference.run(program, [sample])
    assert_equal(program, [sample])
    return found


@pytest.mark.parametrize(
    ("what", "value"), [(what, value) for what in CHOICES for value in dict.fromkeys(CHOICES[what])]
)
def test_both_modes_equal_the_reference(assert_equal, what, value):
    program = random_loihi(7 + len(what), **{what: value})
    assert_equal(program, [random_sample(program, seed, steps) for seed, steps in enumerate((0, 1, 9, 130))])


@given(seed=st.integers(0, 10**9), steps=st.lists(st.integers(0, 70), min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_random_networks_equal_the_reference(assert_equal, seed, steps):
    program = random_loihi(seed)
    assert_equal(program, [random_sample(program, seed + k, n) for k, n in enumerate(steps)])


@pytest.mark.parametrize("hidden", [15, 16, 17, 70])
def test_layers_of_more_than_a_vector(assert_equal, hidden):
    program = random_loihi(
        hidden, value="dense", hidden=hidden, inputs=33, classes=19, layers=2, recurrent=True, extreme=False
    )
    assert_equal(program, [random_sample(program, 0, 100)])


def test_decays_truncate_towards_zero(trace_of):
    """A fraction is lost on both sides of zero: -64 * 4095 / 4096 becomes -63, not -64."""
    two = {"weight": np.array([[2], [-2]]), "recurrent": np.zeros((2, 0), dtype=np.int64), "bias": np.array([0, 0])}
    found = trace_of(layer(dv=1, weight_exponent=-1, **two), [[1], [0], [0]])
    assert found.states["cells/0"][:, 2:].tolist() == [[64, -64], [63, -63], [62, -62]]


def test_threshold_is_strict_and_resets_to_zero(trace_of):
    found = trace_of(layer(vth=4), [[1], [1], [1], [0]])
    assert found.values["cells/0"][:, 0].tolist() == [0, 0, 1, 0]
    assert found.states["cells/0"][:, 1].tolist() == [128, 256, 0, 0]


def test_u_wraps_and_v_clips(trace_of):
    """u keeps what 24 bits hold, v stops at their end; both are counted."""
    largest = layer(weight=np.array([[254]]), format=Format(12, False, 0), vth=131071)
    found = trace_of(largest, [[1000], [0], [1000]])
    assert found.states["cells/0"][:, 0].tolist() == [1000 * 254 * 64 - 2**24, 0, 1000 * 254 * 64 - 2**24]
    slow = layer(weight=np.array([[254]]), vth=131071, du=0)
    found = trace_of(slow, [[255], [255], [0], [0]])
    assert found.states["cells/0"][:, 1].max() <= 2**23 - 1
    assert found.saturations["cells/0"] >= 1


def test_bias_and_exponent(trace_of):
    found = trace_of(layer(bias=np.array([-3]), weight_exponent=2), [[1], [0]])
    assert found.states["cells/0"][:, 1].tolist() == [64 * (8 - 3), 64 * (8 - 6)]
    halved = trace_of(layer(weight=np.array([[-2]]), weight_exponent=-2), [[1], [3]])
    assert halved.states["cells/0"][:, 0].tolist() == [-64, -128]  # each sum rounded down: -0.5, -1.5


@given(cuts=st.lists(st.integers(0, 200), max_size=4))
@settings(max_examples=15, deadline=None)
def test_a_stream_may_be_cut_anywhere(cuts):
    program = random_loihi(12, value="dense", layers=2, recurrent=True, extreme=False)
    values, times = random_sample(program, 0, 200)
    (whole,) = run(program, [(values, times)], trace=True)
    simulator = Simulator(program)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 200], strict=True):
        simulator.advance(values[start:stop], times[start:stop])
        for name, states in whole.states.items():
            expected = states[stop - 1] if stop else np.zeros_like(simulator.state(name))
            np.testing.assert_array_equal(simulator.state(name), expected)
    np.testing.assert_array_equal(simulator.read(), whole.logits)


def test_nodes_that_loihi_does_not_hold_are_refused():
    for changed, message in (
        ({"weight": np.array([[3]])}, "no multiple of 2"),
        ({"weight": np.array([[2]]), "weight_bits": 4}, "no multiple of 32"),
        ({"weight": np.array([[256]])}, r"weight holds 256..256, outside -256..254"),
        ({"bias": np.array([5000])}, r"outside -4096..4095"),
        ({"du": 4096}, r"du=4096 is outside 0..4095"),
        ({"vth": 1 << 17}, r"vth=131072 is outside"),
        ({"format": Format(8, False, 2)}, "spikes or counts are expected"),
        ({"output": Format(2, False, 0)}, "the output is spikes"),
        ({"format": Format(20, False, 0), "weight": np.full((1, 9), 254)}, "the limit is 31"),
        ({"recurrent": np.zeros((1, 2), dtype=np.int64)}, "recurrent has shape"),
    ):
        with pytest.raises(ProgramError, match=message):
            layer(**changed)


def test_each_neuron_may_have_its_own_decay(trace_of):
    """Decays 0, 1024 and 4000 of 4096: 3, 2 and 0 spikes of Lava's LIF in 12 steps of one spike times 20."""
    same = {"weight": np.full((3, 1), 20), "recurrent": np.zeros((3, 0), dtype=np.int64), "bias": np.zeros(3, np.int64)}
    found = trace_of(layer(dv=np.array([0, 1024, 4000]), vth=60, **same), [[1]] * 12)
    assert found.values["cells/0"].sum(axis=0).tolist() == [3, 2, 0]


@pytest.mark.parametrize("what", ["du", "dv", "vth"])
def test_a_layer_of_own_values_is_its_neurons_one_by_one(trace_of, what):
    rng = np.random.default_rng(4)
    values, counts = {"du": [4095, 900, 300], "dv": [0, 700, 4095], "vth": [200, 3000, 900]}[what], (25, 1)
    weights, rows = np.array([[60], [-8], [34]]), rng.integers(0, 9, counts).tolist()
    shared = {"du": 1500, "dv": 200, "vth": 400}
    three = {"recurrent": np.zeros((3, 0), dtype=np.int64), "bias": np.array([5, 90, -7]), "weight": weights}
    whole = trace_of(layer(**shared | three | {what: np.array(values, dtype=np.int32)}), rows)
    for k, value in enumerate(values):
        one = {"weight": weights[k : k + 1], "bias": three["bias"][k : k + 1], what: value}
        single = trace_of(layer(**shared | one), rows)
        np.testing.assert_array_equal(whole.values["cells/0"][:, k], single.values["cells/0"][:, 0])
        np.testing.assert_array_equal(whole.states["cells/0"][:, [k, 3 + k]], single.states["cells/0"])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"du": np.array([1, 2])}, r"du has shape \(2,\), not \(1,\)"),
        ({"dv": np.array([4096])}, "dv holds 4096..4096, outside 0..4095"),
        ({"vth": np.array([-1])}, "vth holds -1..-1, outside 0..131071"),
        ({"vth": 1.5}, "vth=1.5 is no whole number"),
        ({"vth": np.array([1.5])}, "vth must hold integers"),
    ],
)
def test_own_values_beyond_the_chip_s_are_refused(changed, sentence):
    with pytest.raises(ProgramError, match=sentence):
        layer(**changed)


def test_the_slowest_current_bounds_the_layer():
    """Slow and hardly driven, fast and driven: as bounded as each alone."""
    weight, none = np.array([[2], [254]]), np.zeros((2, 0), dtype=np.int64)
    wide = {"weight": weight, "recurrent": none, "bias": np.zeros(2, np.int64), "format": Format(16, False, 0)}
    alone = [
        layer(**wide | {"weight": weight[k : k + 1], "recurrent": none[:1], "bias": np.zeros(1, np.int64)})
        for k in range(2)
    ]
    own = layer(**wide, du=np.array([0, 4095]), dv=np.array([0, 0]))
    slow = layer(**{**wide, "weight": weight[:1], "recurrent": none[:1], "bias": np.zeros(1, np.int64), "du": 0})
    assert own.bounds()["the current"] == max(alone[1].bounds()["the current"], slow.bounds()["the current"])
    with pytest.raises(ProgramError, match="the current can reach"):
        layer(**wide, du=0)
