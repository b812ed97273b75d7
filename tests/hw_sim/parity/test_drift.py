"""Integer states against float64 on long streams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pumice.hw_sim.parity.drift import measure_drift
from pumice.hw_sim.simulator import Simulator
from pumice.program import ProgramError, reference
from pumice.program.nodes import DiagonalSSM
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

USUAL = {"value": "token", "pairing": "causal", "weight_width": 8, "extreme": False, "digits": 5, "state_width": 32}


def make_program(**choices):
    """A program whose states are read whole, so that only the states themselves can saturate."""
    program = random_program(5, **choices, **USUAL)
    nodes = tuple(replace(n, read_shift=16) if isinstance(n, DiagonalSSM) else n for n in program)
    return replace(program, nodes=nodes)


def stream(events: int, mean_gap_us: float = 150.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.exponential(mean_gap_us, events)).astype(np.int64)
    return rng.integers(0, 11, events), times


def rates(program) -> dict[str, np.ndarray]:
    """The exponents that the quantized decays of one tick stand for, so that longer digits alone carry errors."""
    found = {}
    for node in program:
        if isinstance(node, DiagonalSSM):
            d = (node.decay_re[0] + 1j * node.decay_im[0]) / 2.0 ** node.decay_exponent[0]
            found[node.name] = np.log(np.where(1 + d == 0, 1e-30, 1 + d))
    return found


@pytest.mark.thorough
@pytest.mark.parametrize("discretization", ["async", "zoh"])
@pytest.mark.parametrize("stride", [1, 3])
def test_states_stay_within_the_bounds(discretization, stride):
    program = make_program(discretization=discretization, stride=stride, stages=2, layers=1)
    layers = measure_drift(program, *stream(20_000), rates(program))
    assert layers
    for layer in layers.values():
        assert layer.saturations == 0
        assert layer.holds
        assert np.all(layer.rounding > 0)
        assert np.all(layer.rounding <= layer.bound)
        assert layer.clipped_gaps > 0 or np.all(layer.coefficients <= layer.coefficient_bound * (1 + 1e-6) + 1e-6)
        assert layer.as_data()["holds"]


def test_the_bound_of_a_clocked_stream():
    """One event a tick: sqrt(1/2) (1 + 1) / (1 - |a|)."""
    program = make_program(discretization="async", stride=1, stages=1, layers=1)
    tokens, _ = stream(5_000)
    (layer,) = measure_drift(program, tokens, 500 * np.arange(5_000)).values()
    node = program["stages/0/layers/0/ssm"]
    a = 1 + (node.decay_re[0] + 1j * node.decay_im[0]) / 2.0 ** node.decay_exponent[0]
    np.testing.assert_allclose(layer.bound, np.sqrt(2) / (1 - np.abs(a)))
    assert (layer.events, layer.events_per_tick) == (5_000, 1)
    assert layer.holds
    assert np.all(layer.rounding > 0.02 * layer.bound)


@pytest.mark.parametrize("usual", [(1, 2, 3, 7, 21, 30), (3, 7, 21)])  # without gaps of one digit: others bound
@pytest.mark.parametrize("discretization", ["async", "zoh"])
def test_every_figure_against_a_plain_loop(discretization, usual):
    """Several events a tick, gaps of many digits, and one that is clipped."""
    program = make_program(discretization=discretization, stride=1, stages=1, layers=1)
    node = program["stages/0/layers/0/ssm"]
    rng = np.random.default_rng(1)
    gaps = np.concatenate([[0], rng.choice([0, 0, *usual], 200), [100, 0, usual[0]]])
    tokens = rng.integers(0, 11, len(gaps))
    times = 500 * np.cumsum(gaps)
    exact = rates(program)
    layer = measure_drift(program, tokens, times, exact)[node.name]
    (trace,) = reference.run(program, [(tokens, times)])
    u, states = trace.values[node.inputs[0]], trace.states[node.name]

    weight = node.input_re + 1j * node.input_im.astype(float)
    drive = (u @ weight.T + node.bias_re + 1j * node.bias_im) * 2.0**-node.drive_shift
    factors = 1 + (node.decay_re + 1j * node.decay_im) / 2.0 ** node.decay_exponent.astype(float)
    x = y = np.zeros(node.modes, complex)
    rounding = coefficients = largest = np.zeros(node.modes)
    reached, seen, most, crowd = np.zeros(node.modes), set(), 0, 0
    for k, gap in enumerate(gaps.tolist()):
        crowd = 1 if gap or not k else crowd + 1
        most = max(most, crowd)
        clipped = min(gap, node.max_gap)
        digits = [j for j in range(node.digits) if clipped >> j & 1]
        hold, moves = discretization == "zoh", gap > 0
        if hold and moves:
            x, y = x + drive[k], y + drive[k]
        reached = np.maximum(reached, np.abs(y))
        x = x * np.prod(factors[digits], axis=0)
        y = y * np.exp(exact[node.name] * gap)
        if not hold:
            x, y = x + drive[k], y + drive[k]
        elif moves:
            x, y = x - drive[k], y - drive[k]
        if digits:
            seen.add((clipped, tuple(digits)))
        state = np.array([complex(*pair) for pair in zip(*np.split(states[k], 2), strict=True)])
        rounding = np.maximum(rounding, np.abs(state - x))
        coefficients = np.maximum(coefficients, np.abs(x - y))
        largest = np.maximum(largest, np.abs(state))
    bounds = [] if discretization == "zoh" else [np.full(node.modes, most * np.sqrt(0.5))]
    apart = []
    for gap, digits in seen:
        decay = np.prod(factors[list(digits)], axis=0)
        more = np.abs(1 - decay) if discretization == "zoh" else most
        bounds.append(np.sqrt(0.5) * (len(digits) + more) / (1 - np.abs(decay)))
        apart.append(reached * np.abs(decay - np.exp(exact[node.name] * gap)) / (1 - np.abs(decay)))
    assert (layer.events, layer.events_per_tick, layer.clipped_gaps) == (len(gaps), most, 1)
    np.testing.assert_allclose(layer.rounding, rounding, rtol=1e-9)
    np.testing.assert_allclose(layer.coefficients, coefficients, rtol=1e-9)
    np.testing.assert_allclose(layer.largest, largest, rtol=1e-12)
    np.testing.assert_allclose(layer.bound, np.max(bounds, axis=0), rtol=1e-9)
    np.testing.assert_allclose(layer.coefficient_bound, np.max(apart, axis=0), rtol=1e-9)


def test_a_wrong_decay_is_seen():
    program = make_program(discretization="async", stride=1, stages=1, layers=1)
    name = "stages/0/layers/0/ssm"
    slow = int(np.argmin(program[name].decay_re[0] / 2.0 ** program[name].decay_exponent[0] * -1))
    exact = rates(program)
    exact[name][slow] *= 1.1
    right = measure_drift(program, *stream(5_000), rates(program))[name]
    wrong = measure_drift(program, *stream(5_000), exact)[name]
    np.testing.assert_array_equal(right.rounding, wrong.rounding)
    assert wrong.coefficients[slow] > 10 * right.coefficients[slow]


def test_the_largest_state_is_the_simulators():
    program = make_program(discretization="async", stride=1, stages=1, layers=1)
    name = "stages/0/layers/0/ssm"
    values, times = stream(300)
    simulator, largest = Simulator(program), 0.0
    for value, time_us in zip(values, times, strict=True):
        simulator.step(int(value), int(time_us))
        re, im = np.split(simulator.state(name).astype(float), 2)
        largest = np.maximum(largest, np.hypot(re, im))
    layer = measure_drift(program, values, times)[name]
    np.testing.assert_allclose(layer.largest, largest)


def test_saturation_is_reported():
    program = make_program(discretization="async", stride=1, stages=1, layers=1)
    node = program["stages/0/layers/0/ssm"]
    finer = replace(node, state_frac=node.state_frac + 25)
    nodes = tuple(finer if other is node else other for other in program)
    (layer,) = measure_drift(replace(program, nodes=nodes), *stream(500)).values()
    assert layer.saturations > 0


@pytest.mark.slow
@pytest.mark.parametrize("discretization", ["async", "zoh"])
def test_a_stream_of_a_million_events(discretization):
    program = make_program(discretization=discretization, stride=4, stages=2, layers=2)
    for layer in measure_drift(program, *stream(1_000_000), rates(program)).values():
        assert layer.saturations == 0
        assert layer.holds


def test_drift_is_not_measured_of_clocked_networks():
    program = random_network(1, value="dense")
    with pytest.raises(ProgramError, match="DiagonalSSM nodes, of which this program has none"):
        measure_drift(program, *random_sample(program, 0, 5))


def test_it_holds_up_to_the_bound_and_no_further():
    program = random_program(1, stages=1, layers=1, state_width=32)
    (drift,) = measure_drift(program, *random_sample(program, 0, 50)).values()
    for rounding, holds in ((drift.bound, True), (drift.bound * 1.001 + 1e-3, False)):
        assert replace(drift, rounding=rounding).holds is holds
    one = drift.rounding.copy()
    one[-1] = 2 * drift.bound[-1] + 1
    assert not replace(drift, rounding=one).holds
