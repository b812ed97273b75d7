"""Counts against a brute force: every event, every node, every pair of weight and operand, in plain Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
from brute_counts import brute_force, counted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pumice.hw_sim import simulator
from pumice.hw_sim.counts import count, count_float, print_counts
from pumice.hw_sim.counts.table import _short as short
from pumice.program import ProgramError, reference
from pumice.program.nodes import DiagonalSSM, Linear, Lookup
from pumice.program.random.programs import random_program, random_sample
from rich.console import Console

SETTINGS = settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(
    seed=st.integers(0, 10_000),
    events=st.integers(0, 14),
    real=st.booleans(),
    normed=st.booleans(),
    sampled=st.sampled_from(["first", "last", "mean", "time"]),
    all_time=st.booleans(),
)
def test_equals_brute_force(seed, events, real, normed, sampled, all_time):
    program = random_program(seed, width=3, real=real, normed=normed, sampled=sampled, all_time=all_time)
    (trace,) = reference.run(program, [random_sample(program, seed, events + 2)])
    counts, brute = count(program, [trace]), brute_force(program, trace)
    expected = {key: [int(v) for v in value] for key, value in brute.operations.items() if any(value)}
    assert counted(counts) == expected
    for node in counts:
        assert node.outputs == brute.other[node.name, "outputs"]
        assert node.zero_outputs == brute.other[node.name, "zero_outputs"]
        assert node.state_updates == brute.other[node.name, "state_updates"]
        assert node.digit_steps == brute.other[node.name, "digit_steps"]
        if isinstance(program[node.name], DiagonalSSM):
            assert node.traffic.state_read == brute.other[node.name, "state_read"]
            assert node.traffic.state_written == brute.other[node.name, "state_written"]
        if isinstance(program[node.name], (Linear, DiagonalSSM)):
            skipped = node.traffic.weights_dense - node.traffic.weights
            brute_skipped = brute.other[node.name, "matrix_bits_dense"] - brute.other[node.name, "matrix_bits"]
            assert skipped == brute_skipped


@settings(SETTINGS, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_simulator_traces_count_the_same_and_samples_add_up(seed):
    program = random_program(seed)
    samples = [random_sample(program, seed + index, events) for index, events in enumerate((0, 1, 17))]
    traces = reference.run(program, samples)
    counts = count(program, traces)
    assert counts == count(program, simulator.run(program, samples, trace=True, threads=1))
    singles = [count(program, [trace]).totals() for trace in traces]
    for name, total in counts.totals().items():
        values = [single[name] for single in singles]
        assert total == (values[0] if name in ("parameter_bits", "state_bits") else sum(values))


def small():
    return random_program(
        5, value="token", norm="layer", discretization="async", pool="mean", stride=2, stages=1, layers=1, modes=2,
        width=3, widen=False, weight_width=8, state_width=16, activation_width=8, digits=3, readout="mean",
        pairing="causal",
    )  # fmt: skip


def test_memory_by_hand():
    program = small()
    (trace,) = reference.run(program, [random_sample(program, 1, 6)])
    counts = count(program, [trace])
    ssm, node = counts["stages/0/layers/0/ssm"], program["stages/0/layers/0/ssm"]
    assert ssm.state_bits == 2 * 2 * 16
    drive_register = {"i32": 32, "i64": 64}[node.drive_accumulator]
    drive_shifts = 8 * len(set(node.drive_shift.tolist())) if len(set(node.drive_shift.tolist())) > 1 else 8
    assert ssm.parameter_bits == 2 * 2 * 3 * 8 + 3 * 2 * (2 * 15 + 8) + 4 * drive_register + drive_shifts
    assert counts["embedding"].parameter_bits == 11 * 3 * 8
    assert counts["embedding"].traffic.weights == 6 * 3 * 8
    assert counts["stages/0/layers/0/state"].state_bits == 4 * 16
    # one window of two: stored at its first event, read at its last; three windows
    assert counts["stages/0/layers/0/state"].traffic.state_read == 3 * 64
    assert counts["readout"].state_bits == 64 * (3 + 1)


def test_float_reference_by_hand():
    program = small()
    sample = (np.array([1, 2, 3, 4]), np.array([0, 500, 500, 2000]))  # gaps of 0, 1, 0, 3 ticks
    counts = count_float(program, reference.run(program, [sample]))
    ssm = counts["stages/0/layers/0/ssm"]
    assert ssm.sum("mac") == 4 * 2 * 2 * 3
    assert ssm.sum("function") == 2 * 3 * 2  # two events with a gap, three functions, two modes
    assert ssm.sum("multiply") == 2 * 8 * 2
    assert ssm.state_bits == 2 * 2 * 32
    assert counts["decoder"].sum("mac") == 9
    assert counts["stages/0/layers/0/y"].sum("mac") == 2 * (3 * 4 + 3)  # at half the rate, C and a diagonal D
    integer = count(program, reference.run(program, [sample]))
    assert counts.sum("mac", "dense") == integer.sum("mac", "dense")
    assert counts.totals()["state_updates"] == integer.totals()["state_updates"] == 8


def test_real_modes_cost_half():
    """Bytes of state and of B, products with B, and a quarter of the decays' products; in floats as well."""
    sizes = {"stages": 1, "layers": 1, "stride": 1, "modes": 4, "value": "dense", "norm": "layer", "extreme": False}
    sizes |= {"discretization": "async"}
    costs = []
    for real in (False, True):
        program = random_program(3, real=real, **sizes)
        node = program["stages/0/layers/0/ssm"]
        (trace,) = reference.run(program, [random_sample(program, 1, 40)])
        integer, floating = (counted(program, [trace])[node.name] for counted in (count, count_float))
        tensors = {tensor.name: tensor.bits for tensor in node.tensors()}
        costs.append((node, integer, floating, tensors))
    (_, whole, whole_float, bits), (node, half, half_float, real_bits) = costs
    assert 2 * half.state_bits == whole.state_bits
    assert 2 * half.traffic.state_read == whole.traffic.state_read
    assert 2 * half_float.state_bits == whole_float.state_bits
    assert 2 * half.sum("mac", "dense") == whole.sum("mac", "dense")
    assert 4 * half.sum("multiply", "dense") == whole.sum("multiply", "dense")
    assert 2 * half_float.sum("mac") == whole_float.sum("mac")
    assert (real_bits["input_re"], real_bits["decay_re"]) == (bits["input_re"], bits["decay_re"])
    assert "input_im" not in real_bits
    assert "decay_im" not in real_bits
    assert (half.real, whole.real) == (True, False)
    assert half.state_updates == whole.state_updates


def test_accumulate_only_where_every_code_of_the_event_is_a_spike():
    program = small()
    ssm = program["stages/0/layers/0/ssm"]
    (trace,) = reference.run(program, [random_sample(program, 3, 8)])
    u = trace.values[ssm.inputs[0]]
    spiking = (np.abs(u) <= 1).all(axis=1)
    item = next(item for item in count(program, [trace])[ssm.name].operations if item.kind == "mac")
    weight = np.concatenate([ssm.input_re, ssm.input_im])
    assert item.accumulate == sum(np.count_nonzero(weight[:, x != 0]) for x in u[spiking])


def test_gate_that_is_shut_skips_its_product():
    program = small()
    rng = np.random.default_rng(0)
    nodes = [
        replace(node, table=rng.integers(0, 2, node.table.shape)) if isinstance(node, Lookup) else node
        for node in program
    ]
    program = replace(program, nodes=tuple(nodes))
    traces = reference.run(program, [random_sample(program, seed, 40) for seed in range(3)])
    gated = count(program, traces)["stages/0/layers/0/gated"]
    y, gate = (np.concatenate([t.values[edge] for t in traces]) for edge in program[gated.name].inputs)
    expected = sum(1 for a, b in zip(y.flat, gate.flat, strict=True) if a != 0 and b != 0)
    assert gated.sum("multiply") == expected < np.count_nonzero(y)
    assert gated.sum("multiply", "dense") == y.size


@pytest.mark.parametrize("counted", [count, count_float])
def test_a_node_type_without_a_counter_is_refused(counted):
    @dataclass(frozen=True, eq=False, kw_only=True)
    class NewLookup(Lookup):
        """A type that nobody counts."""

    program = small()
    (trace,) = reference.run(program, [random_sample(program, 1, 6)])
    nodes = [NewLookup(**vars(node)) if isinstance(node, Lookup) else node for node in program]
    with pytest.raises(ProgramError, match="NewLookup cannot be counted"):
        counted(replace(program, nodes=tuple(nodes)), [trace])


def test_refuses_foreign_and_empty_traces():
    program = small()
    sample = random_sample(program, 1, 6)
    with pytest.raises(ProgramError, match="trace=True"):
        count(program, reference.run(program, [sample], trace=False))
    (trace,) = reference.run(program, [sample])
    with pytest.raises(ProgramError, match="another program"):
        count(program, [replace(trace, logits=trace.logits + 1)])
    states = {name: state + 1 for name, state in trace.states.items()}
    with pytest.raises(ProgramError, match="states do not follow"):
        count(program, [replace(trace, states=states)])


def test_json_and_table(capsys):
    program = small()
    traces = reference.run(program, [random_sample(program, 1, 6), random_sample(program, 2, 4)])
    counts, floats = count(program, traces), count_float(program, traces)
    data = json.loads(json.dumps(counts.to_dict()))
    assert data["events"] == 10
    assert data["per_event"]["dense_macs"] == data["totals"]["dense_macs"] / 10
    assert data["per_sample"]["dense_macs"] == data["totals"]["dense_macs"] / 2
    print_counts(counts, floats, Console(width=300))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert "Operations an input event (integer; 2 samples, 10 events)" in lines[0]
    assert lines[1].split() == ["node", "dense", "MAC", "AC", "other", "modes", "digits", "weights", "state"]
    rows = {
        words[0]: words[1:] for words in map(str.split, lines[1:]) if len(words) == 9 and not words[0].startswith("--")
    }
    by_name = {node.name.replace("stages/", "").replace("layers/", ""): node for node in counts}
    listed = {name for name, node in by_name.items() if node.operations or node.state_bits}
    assert set(rows) == {"node", "total", "float32"} | listed
    for name in listed:
        assert list(map(number, rows[name])) == pytest.approx(row(by_name[name], 10), rel=5e-3), name
    for name, each in (("total", counts), ("float32", floats)):
        assert list(map(number, rows[name])) == pytest.approx(np.sum([row(n, 10) for n in each], axis=0), rel=5e-3)
    said = "\n".join(lines)
    for name, each in (("integer", counts), ("float32", floats)):
        kept, held = (sum(getattr(node, what) for node in each) / 8 for what in ("parameter_bits", "state_bits"))
        assert f"{name}: model {kept:,.0f} bytes, state {held:,.0f} bytes" in said
    (widths,) = re.findall(r"effective of dense products an event, .*: (.*)", said)
    found = {key: (number(a), number(b)) for key, a, b in re.findall(r"(\d+x\d+) bit (\S+) of ([^\s,]+)", widths)}
    macs = [item for node in counts for item in node.operations if item.kind == "mac"]
    for key, pair in found.items():
        items = [item for item in macs if "{}x{}".format(*item.widths) == key]
        assert pair == pytest.approx((sum(i.effective for i in items) / 10, sum(i.dense for i in items) / 10), rel=5e-3)
    assert set(found) == {"{}x{}".format(*item.widths) for item in macs}


def test_numbers_are_printed_with_three_digits():
    numbers = {0: "-", 0.5: "0.5", 999.4: "999", 999.6: "1k", 1234: "1.23k", 999_600: "1M", 123_400_000: "123M"}
    assert {value: short(value) for value in numbers} == numbers


def number(text):
    """A printed number of three digits."""
    scale = {"k": 1e3, "M": 1e6}.get(text[-1], 1)
    return 0.0 if text == "-" else float(text.rstrip("kM")) * scale


def row(node, events):
    """What the table tells of a node, an event."""
    macs = [item for item in node.operations if item.kind == "mac"]
    spikes = sum(item.accumulate for item in macs)
    other = sum(item.effective for item in node.operations if item.kind not in ("mac", "gather"))
    moved = node.traffic.state_read + node.traffic.state_written
    cells = (
        sum(item.dense for item in macs),
        sum(item.effective for item in macs) - spikes,
        spikes,
        other,
        node.state_updates,
        node.digit_steps,
        node.traffic.weights / 8,
        moved / 8,
    )
    return [cell / events for cell in cells]


def test_an_empty_sample_is_read_once():
    program = small()
    counts = count(program, reference.run(program, [(np.zeros(0, dtype=int), np.zeros(0, dtype=int))]))
    assert counts.events == 0
    assert counts.totals()["dense_macs"] == 9
    assert counts.totals()["effective_macs"] == 0  # the read-out's value is zero


def test_needs_neither_torch_nor_numba():
    code = (
        "import sys; sys.modules.update(torch=None, numba=None); "
        "import pumice.hw_sim.counts, pumice.hw_sim.energy; print('imported')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "imported", done.stderr
