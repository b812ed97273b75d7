"""Counts of spiking state-space nodes against a brute force: every step, mode, channel and operand, in plain Python."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pumice.hw_sim.counts import count, count_float
from pumice.program import ProgramError, reference
from pumice.program.nodes import ChannelSSM, DrivenLIF
from pumice.program.random.programs import random_sample
from pumice.program.random.spiking import random_spiking, random_spiking_events


class Brute:
    """Sums by (kind, what): dense, effective, accumulates."""

    def __init__(self):
        self.operations = defaultdict(lambda: [0, 0, 0])
        self.unread = 0

    def op(self, kind, what, effective=True, accumulate=False):
        entry = self.operations[kind, what]
        for index, value in enumerate((True, effective, accumulate)):
            entry[index] += int(value)

    def product(self, what, weight, value, width, row):
        hit = weight != 0 and value != 0
        self.op("mac", what, hit, hit and all(abs(v) <= 1 for v in row))
        self.unread += 0 if value != 0 else width


def brute_channels(node, inputs, states):
    """What one ChannelSSM did, given its states after each step."""
    brute, half = Brute(), node.modes * node.channels
    before = [0] * (2 * half)
    for u, after in zip(inputs, states, strict=True):
        for i in range(half):
            m, h = divmod(i, node.channels)
            for part in (before[i], before[half + i]):
                brute.op("multiply", "decay", node.decay_re[m, h] != 0 and part != 0)
                brute.op("multiply", "decay", node.decay_im[m, h] != 0 and part != 0)
                for what in ("add", "round"):
                    brute.op(what, "decay")
                brute.op("add", "state")
            brute.op("add", "drive")
            if node.format.frac > node.state_frac[m, h]:
                brute.op("round", "drive")
            brute.product("C", node.output_re[m, h], after[i], node.output_width, after)
            brute.product("C", node.output_im[m, h], after[half + i], node.output_width, after)
        for h in range(node.channels):
            brute.product("D", node.feedthrough[h], u[h], node.feedthrough_width, u)
            brute.op("add", "bias", node.bias[h] != 0)
            if node.accumulator_frac[h] > node.output.frac:
                brute.op("round", "sum")
        before = after
    return brute


def brute_neurons(node, states, spikes):
    brute = Brute()
    before = [0] * node.channels
    for after, fired in zip(states, spikes, strict=True):
        for h in range(node.channels):
            if bin(int(node.alpha[h])).count("1") > 1:
                brute.op("multiply", "alpha", before[h] != 0)
            if node.alpha_frac > 0:
                brute.op("round", "alpha")
            brute.op("add", "potential")
            brute.op("compare", "threshold")
            brute.op("reset", "potential", fired[h])
        before = after
    return brute


def counted(node):
    found = defaultdict(lambda: [0, 0, 0])
    for item in node.operations:
        for index, value in enumerate((item.dense, item.effective, item.accumulate)):
            found[item.kind, item.what][index] += value
    return found


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), steps=st.integers(0, 9))
def test_equals_brute_force(seed, steps):
    program = random_spiking(seed)
    (trace,) = reference.run(program, [random_sample(program, seed, steps)])
    counts = count(program, [trace])
    for node in program.of_type((ChannelSSM, DrivenLIF)):
        states, output = trace.states[node.name].tolist(), trace.values[node.name].tolist()
        if isinstance(node, ChannelSSM):
            brute = brute_channels(node, trace.values[node.inputs[0]].tolist(), states)
            updates, bits = node.modes * node.channels, 2 * node.modes * node.channels * node.state_width
        else:
            brute = brute_neurons(node, states, output)
            updates, bits = node.channels, node.channels * node.potential.width
        found = counts[node.name]
        assert counted(found) == {key: value for key, value in brute.operations.items() if any(value)}
        assert found.state_updates == steps * updates
        assert found.traffic.state_read == found.traffic.state_written == steps * bits
        assert found.state_bits == bits
        assert found.traffic.weights_dense == steps * found.parameter_bits
        assert found.traffic.weights_dense - found.traffic.weights == brute.unread
        assert found.spikes == (sum(map(sum, output)) if isinstance(node, DrivenLIF) else 0)
    assert counts.clocked


@pytest.mark.parametrize("seed", range(8))
def test_neurons_step_once_a_window(seed):
    """Behind a pool a neuron is updated for each complete window, not for each event."""
    program = random_spiking_events(seed, stride=3, stages=1)
    (trace,) = reference.run(program, [random_sample(program, seed, 35)])
    counts = count(program, [trace])
    for node in program.of_type(DrivenLIF):
        states, output = trace.states[node.name].tolist(), trace.values[node.name].tolist()
        found = counts[node.name]
        brute = brute_neurons(node, states, output)
        assert counted(found) == {key: value for key, value in brute.operations.items() if any(value)}
        assert len(output) == len(trace.values["token" if "token" in trace.values else "values"]) // 3
        assert found.state_updates == len(output) * node.channels
        assert found.spikes == sum(map(sum, output))


def test_a_spiking_layer_feeds_accumulates_alone():
    """What reads spikes needs no multiplier: the linear layers behind neurons count additions."""
    program = random_spiking(4, value="dense", layers=1, extreme=False)
    counts = count(program, reference.run(program, [random_sample(program, 1, 50)]))
    for name in ("y", "gate"):
        (products,) = [item for item in counts[f"blocks/0/{name}"].operations if item.kind == "mac"]
        assert products.accumulate == products.effective > 0


def test_the_float_model_by_hand():
    program = random_spiking(6, value="dense", layers=1, width=3, modes=2)
    floats = count_float(program, reference.run(program, [random_sample(program, 1, 7)]))
    node = floats["blocks/0/ssm"]
    found = {(item.kind, item.what): item.dense for item in node.operations if item.dense}
    assert found.pop(("add", "bias"), 0) <= 7 * 3
    assert found == {
        ("multiply", "decay"): 7 * 6 * 4,
        ("add", "decay"): 7 * 6 * 2,
        ("add", "drive"): 7 * 6,
        ("mac", "C"): 7 * 6 * 2,
        ("mac", "D"): 7 * 3,
    }
    neurons = floats["blocks/0/neurons"]
    assert {item.kind: item.dense for item in neurons.operations} == dict.fromkeys(
        ("multiply", "add", "compare", "reset"), 7 * 3
    )


def test_a_trace_of_other_states_is_refused():
    program = random_spiking(6, value="dense", layers=1)
    for name in ("blocks/0/ssm", "blocks/0/neurons"):
        (trace,) = reference.run(program, [random_sample(program, 1, 7)])
        trace.states[name][3, 0] += 1
        with pytest.raises(ProgramError, match=f"node {name}: the trace's states do not follow"):
            count(program, [trace])
