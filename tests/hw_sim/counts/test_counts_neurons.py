"""Counts of clocked networks against a brute force that runs them in exact fractions, neuron by neuron."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from brute_neurons import Brute, brute_integrator, brute_loihi, brute_neurons, own_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pumice.hw_sim.counts import count, count_float, neurobench, print_counts
from pumice.hw_sim.energy import energy, load_profile, print_energy
from pumice.program import ProgramError, reference
from pumice.program.nodes import LIF, AdaptiveLIF, CubaLIF, LeakyIntegrator, LoihiLIF
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

SETTINGS = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def counted(node):
    found = defaultdict(lambda: [0, 0, 0])
    for item in node.operations:
        for index, value in enumerate((item.dense, item.effective, item.accumulate)):
            found[node.name, item.kind, item.what][index] += value
    return found


def rounded_states(node):
    """The states that are rounded; their shift is that of all neurons."""
    shifts = {"potential": node.potential_shifts[-1]}
    if isinstance(node, AdaptiveLIF):
        shifts["adaptation"] = node.adaptation_shifts[-1]
    if isinstance(node, CubaLIF):
        shifts["synapse"] = node.synapse_shifts[-1]
    return {what for what, shift in shifts.items() if shift > 0}


@SETTINGS
@given(seed=st.integers(0, 10_000), steps=st.integers(0, 12))
def test_equals_brute_force(seed, steps):
    program = random_network(seed)
    (trace,) = reference.run(program, [random_sample(program, seed, steps)])
    counts, brute = count(program, [trace]), Brute()
    for node in program:
        if isinstance(node, (LIF, AdaptiveLIF, CubaLIF)):
            spikes, states = brute_neurons(brute, node, trace.values[node.inputs[0]].tolist())
            assert spikes == trace.values[node.name].tolist()
            assert states == trace.states[node.name].tolist()
            for what in rounded_states(node):
                brute.operations[node.name, "round", what] = [steps * node.neurons] * 2 + [0]
            assert counts[node.name].spikes == sum(map(sum, spikes))
        elif isinstance(node, LeakyIntegrator):
            potentials = brute_integrator(brute, node, trace.values[node.inputs[0]].tolist())
            assert potentials == trace.values[node.name].tolist()
        else:
            continue
        found = counts[node.name]
        expected = {key: value for key, value in brute.operations.items() if key[0] == node.name and any(value)}
        assert counted(found) == expected
        assert found.state_updates == brute.other[node.name, "updates"]
        assert found.traffic.weights_dense - found.traffic.weights == brute.other[node.name, "unread"]
        assert found.traffic.state_read == found.traffic.state_written == steps * found.state_bits
    assert counts.clocked
    assert counts.totals()["effective_acs"] == sum(entry[2] for entry in brute.operations.values())


@SETTINGS
@given(seed=st.integers(0, 10_000), steps=st.integers(0, 12))
def test_loihis_own_neurons_equal_brute_force(seed, steps):
    program = random_loihi(seed)
    (trace,) = reference.run(program, [random_sample(program, seed, steps)])
    counts, brute = count(program, [trace]), Brute()
    assert counts.clocked
    for node in program:
        if isinstance(node, LoihiLIF):
            spikes, states = brute_loihi(brute, node, trace.values[node.inputs[0]].tolist())
            assert states == trace.states[node.name].tolist()
            found = counts[node.name]
            expected = {key: value for key, value in brute.operations.items() if key[0] == node.name and any(value)}
            assert counted(found) == expected
            assert found.spikes == sum(map(sum, spikes))
            assert found.state_updates == brute.other[node.name, "updates"]
            assert found.traffic.weights_dense - found.traffic.weights == brute.other[node.name, "unread"]
            assert found.state_bits == node.neurons * (48 + node.is_recurrent)
            widths = ((12, node.du), (12, node.dv), (17, node.vth))
            codes = sum(width * (node.neurons if len(set(own_values(value))) > 1 else 1) for width, value in widths)
            codes += 8 * (node.weight_exponent != 0) + 13 * node.neurons * bool(node.bias.any())
            matrices = node.weight_bits * (node.weight.size + node.recurrent.size)
            assert found.parameter_bits == matrices + codes
    floats = count_float(program, [trace])
    assert floats.sum("mac", "dense") == counts.sum("mac", "dense")
    assert floats.totals()["state_updates"] == counts.totals()["state_updates"]


@settings(SETTINGS, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_samples_add_up(seed):
    program = random_network(seed)
    samples = [random_sample(program, seed + index, steps) for index, steps in enumerate((0, 1, 17))]
    traces = reference.run(program, samples)
    singles = [count(program, [trace]).totals() for trace in traces]
    for name, total in count(program, traces).totals().items():
        values = [single[name] for single in singles]
        assert total == (values[0] if name in ("parameter_bits", "state_bits") else sum(values))


def small(cell="se", **changes):
    fixed = {"hidden": 3, "inputs": 2, "layers": 1, "weight_width": 4, "constant_width": 12, "state_width": 16}
    fixed |= {"reset": "zero", "refractory": 0, "leaky": True, "recurrent": True, "input": "ternary", "extreme": False}
    fixed |= changes
    return random_network(2, value="dense", cell=cell, **fixed)


@pytest.mark.parametrize(("cell", "constants", "states"), [("lif", 2, 1), ("se", 5, 2), ("ef", 5, 2)])
def test_memory_by_hand(cell, constants, states):
    program = small(cell)
    counts = count(program, reference.run(program, [random_sample(program, 1, 6)]))
    node, found = program["cells/0"], counts["cells/0"]
    assert found.state_bits == 3 * (states * 16 + 1)  # and the spikes of the step before
    matrices = 3 * 2 * 4 + 3 * 3 * 4
    shifts = [node.input_shift, node.recurrent_shift, node.current_shift, node.potential_shifts]
    if cell != "lif":
        shifts += [node.drive_shifts, node.adaptation_shifts]
    shift_bytes = sum((1 if len(set(s)) == 1 else len(s)) if any(s) else 0 for s in map(list, shifts))
    register = 32 if node.bounds()["the current"] < 1 << 30 else 64
    thresholds = 3 if len(set(node.threshold.tolist())) > 1 else 1
    assert found.parameter_bits == matrices + constants * 3 * 12 + 16 * thresholds + 3 * register + 8 * shift_bytes
    assert counts["readout"].state_bits == 3 * 16
    assert found.traffic.weights_dense == 6 * found.parameter_bits
    alike = replace(program, nodes=tuple(one_threshold(node) for node in program))
    smaller = count(alike, reference.run(alike, [random_sample(alike, 1, 6)]))["cells/0"]
    assert found.parameter_bits - smaller.parameter_bits == 16 * (thresholds - 1)


def one_threshold(node):
    return replace(node, threshold=np.full(3, 5)) if node.name == "cells/0" else node


def test_a_layer_without_recurrence_keeps_no_spikes():
    program = random_network(2, value="dense", cell="lif", recurrent=False, hidden=3, layers=1, state_width=16)
    counts = count(program, reference.run(program, [random_sample(program, 1, 6)]))
    assert counts["cells/0"].state_bits == 3 * 16
    assert {item.what for item in counts["cells/0"].operations if item.kind == "mac"} == {"W"}


@pytest.mark.parametrize(("cell", "products", "sums"), [("lif", 2, 1), ("se", 5, 4), ("ef", 5, 4)])
def test_float_counterpart_by_hand(cell, products, sums):
    program = small(cell)
    traces = reference.run(program, [random_sample(program, 1, 6)])
    counts, integer = count_float(program, traces), count(program, traces)
    found = counts["cells/0"]
    assert found.sum("mac") == 6 * (3 * 2 + 3 * 3)
    assert counts.sum("mac", "dense") == integer.sum("mac", "dense")
    assert found.sum("multiply") == 6 * 3 * products
    assert found.sum("add") == 6 * 3 * sums + 6 * np.count_nonzero(program["cells/0"].bias)
    assert found.sum("compare") == found.sum("reset") == 6 * 3
    assert found.state_bits == 32 * 3 * ((1 if cell == "lif" else 2) + 1)
    assert counts["readout"].sum("multiply") == 6 * 3
    assert counts.totals()["state_updates"] == integer.totals()["state_updates"] == 6 * (3 + 3)
    assert counts.spike_rates == {}
    assert counts.clocked


def test_refuses_traces_that_do_not_follow():
    for cell, channel in (("lif", 0), ("se", 0), ("se", -1), ("ef", -1)):
        program = small(cell)
        (trace,) = reference.run(program, [random_sample(program, 1, 6)])
        states = trace.states["cells/0"].copy()
        states[-1, channel] += 1
        with pytest.raises(ProgramError, match="cells/0: the trace's states do not follow"):
            count(program, [replace(trace, states={**trace.states, "cells/0": states})])
    program = random_loihi(3, value="dense")
    (trace,) = reference.run(program, [random_sample(program, 1, 6)])
    states = {name: state + 1 for name, state in trace.states.items()}
    with pytest.raises(ProgramError, match="states do not follow"):
        count(program, [replace(trace, states=states)])


def test_spike_rates_tables_and_json(capsys):
    program = small("se")
    traces = reference.run(program, [random_sample(program, seed, 50) for seed in (1, 2)])
    counts, floats = count(program, traces), count_float(program, traces)
    spikes = np.concatenate([trace.values["cells/0"] for trace in traces])
    assert counts.spike_rates == {"cells/0": pytest.approx(spikes.mean())}
    data = json.loads(json.dumps(counts.to_dict()))
    assert data["spike_rates"] == counts.spike_rates
    assert data["per_event"]["resets"] == spikes.sum() / 100
    assert data["per_sample"]["comparisons"] == 50 * 3
    print_counts(counts, floats)
    printed = capsys.readouterr().out
    assert "Operations a step" in printed
    assert f"cells/0 {spikes.mean():.2%}" in printed
    assert spikes.any(), "a sample that spikes is needed"


def test_neurobench_is_given_for_clocked_networks_alone():
    program = random_program(11)
    traces = reference.run(program, [random_sample(program, 1, 30)])
    assert neurobench(count(program, traces)) is None
    program = small()
    traces = reference.run(program, [random_sample(program, 1, 30)])
    assert neurobench(count_float(program, traces)) is None
    assert neurobench(count(program, []))["ActivationSparsity"] == 0


def test_energy_of_neurons_by_hand(capsys, request):
    profiles = request.config.rootpath / "configs" / "hardware"
    program = small("se")
    counts = count(program, reference.run(program, [random_sample(program, 1, 60)]))
    neurons, readout = counts["cells/0"], counts["readout"]
    estimate = energy(counts, load_profile(profiles / "loihi-1.yaml"))
    products = neurons.sum("mac") + readout.sum("mac")
    spikes = neurons.outputs - neurons.zero_outputs
    assert spikes > 0
    assert estimate.compute.low == pytest.approx(products * 23.6 + 60 * (3 + 3) * 52 + spikes * 1.7)
    assert estimate.unpriced == {}
    horowitz = load_profile(profiles / "horowitz-45nm.yaml")
    estimate = energy(counts, horowitz)
    assert estimate.unpriced == {}
    # V and W_o meet spikes: dense hardware needs no multiplier for them either
    dense, constants = energy(counts, horowitz, skip_zeros=False), horowitz.constants
    (v,) = (item for item in neurons.operations if item.what == "V")
    lone = energy(replace(counts, nodes=(replace(neurons, operations=(v,)),)), horowitz, skip_zeros=False)
    adder = constants["add-int32" if v.result == 32 else "add-int64"]
    assert lone.compute.high == pytest.approx(v.dense * adder.energy.high)
    assert estimate.compute.high < dense.compute.high
    (compare,) = (item for item in neurons.operations if item.kind == "compare")
    lone = energy(replace(counts, nodes=(replace(neurons, operations=(compare,)),)), horowitz)
    assert lone.compute.high == pytest.approx(compare.dense * constants["add-int16"].energy.high)
    print_energy(estimate)
    assert "Energy a step" in capsys.readouterr().out
