"""The simulator in both modes against the reference, and its behaviour as a live stream."""

from __future__ import annotations

import copy
import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.hw_sim.simulator import Simulator, opcodes, run
from pumice.hw_sim.simulator.arenas import A16, A64
from pumice.hw_sim.simulator.plan.make import make_plan
from pumice.hw_sim.simulator.plan.planner import BLOCK
from pumice.program import ProgramError, reference
from pumice.program.nodes import DiagonalSSM
from pumice.program.random.programs import CHOICES, random_program, random_sample
from pumice.program.transform import replace_readout

OPTIONS = [(what, value) for what, values in CHOICES.items() for value in dict.fromkeys(values)]


@pytest.mark.parametrize(("what", "value"), OPTIONS, ids=[f"{what}-{value}" for what, value in OPTIONS])
def test_both_modes_equal_the_reference(assert_equal, what, value):
    program = random_program(7 + len(what), **{what: value})
    assert_equal(program, [random_sample(program, seed, events) for seed, events in enumerate((0, 1, 9, 130))])


@given(seed=st.integers(0, 10**9), events=st.lists(st.integers(0, 70), min_size=1, max_size=3))
@settings(max_examples=examples(120), deadline=None)
def test_random_programs_equal_the_reference(assert_equal, seed, events):
    program = random_program(seed)
    assert_equal(program, [random_sample(program, seed + k, n) for k, n in enumerate(events)])


@pytest.mark.parametrize("discretization", ["async", "zoh"])
@pytest.mark.parametrize("state_width", [8, 16, 32])
@pytest.mark.parametrize("weight_width", [2, 8, 16])
def test_extreme_codes(assert_equal, discretization, state_width, weight_width):
    saturations = 0
    for seed in range(3):
        program = random_program(
            seed, extreme=True, discretization=discretization, state_width=state_width, weight_width=weight_width
        )
        result = assert_equal(program, [random_sample(program, seed, 90)])
        saturations += sum(result.oracle.saturations.values())
    assert saturations > 0


@pytest.mark.parametrize("discretization", ["async", "zoh"])
@pytest.mark.parametrize("state_width", [8, 16, 32])
def test_real_modes(assert_equal, discretization, state_width):
    """One code of state a mode, in the narrow tier as in the wide one."""
    for seed, extreme in ((0, False), (1, True)):
        program = random_program(
            seed, real=True, extreme=extreme, discretization=discretization, state_width=state_width, weight_width=8
        )
        for node in program.of_type(DiagonalSSM):
            assert node.channels == node.modes
        assert_equal(program, [random_sample(program, seed, events) for events in (5, 90)])


@pytest.mark.parametrize("state_width", [16, 32])
@pytest.mark.parametrize("sampled", ["last", "mean", "time"])
def test_pooled_states_without_norms(assert_equal, sampled, state_width):
    """What a layer holds that pools its output: the other modes of a window, and values brought to another format."""
    for stride in (3, 4):
        program = random_program(
            stride, sampled=sampled, pool=sampled, stride=stride, state_width=state_width, normed=False, real=True
        )
        assert_equal(program, [random_sample(program, seed, events) for seed, events in enumerate((stride - 1, 5, 90))])


def test_narrow_mixed_and_wide_operations_all_occur(assert_equal):
    """The tests above say nothing about the fast path unless it is taken."""
    narrow = random_program(
        1, value="dense", state_width=16, weight_width=8, spread=1, activation_width=8, norm="layer"
    )
    wide = random_program(1, state_width=32)
    assert make_plan(narrow).edges["stages/0/layers/0/ssm"].arena == A16
    assert make_plan(wide).edges["stages/0/layers/0/ssm"].arena == A64
    assert_equal(narrow, [random_sample(narrow, 0, 200)])


def test_tables_by_token_give_the_same_bits_as_nodes_run_event_by_event(monkeypatch, records):
    program = random_program(21, value="token", extreme=True, norm="layer")
    samples = [random_sample(program, 0, 80)]
    assert [op for op, _ in records(program, trace=True)].count(opcodes.TABLE) > 1
    (tabulated,) = run(program, samples)
    monkeypatch.setattr("pumice.hw_sim.simulator.plan.planner.TABLE_LIMIT", 0)
    make_plan.cache_clear()
    assert [op for op, _ in records(program, trace=True)].count(opcodes.TABLE) == 1  # the embedding
    (plain,) = run(program, samples)
    np.testing.assert_array_equal(tabulated.logits, plain.logits)
    assert tabulated.saturations == plain.saturations
    make_plan.cache_clear()


@given(cuts=st.lists(st.integers(0, 300), max_size=5), pairing=st.sampled_from(["causal", "next"]))
@settings(max_examples=examples(20), deadline=None)
def test_a_stream_may_be_cut_anywhere(cuts, pairing):
    program = random_program(4, stride=3, pairing=pairing, readout="time", pool="time", sampled="last")
    values, times = random_sample(program, 0, 300)
    (whole,) = run(program, [(values, times)])
    simulator = Simulator(program)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 300], strict=True):
        simulator.advance(values[start:stop], times[start:stop])
    np.testing.assert_array_equal(simulator.read(), whole.logits)
    assert simulator.events == 300
    assert simulator.saturations == whole.saturations


def test_step_returns_the_running_logits_and_when_they_are_new():
    program = random_program(9, value="token", stages=1, stride=4, readout="mean", pairing="causal")
    values, times = random_sample(program, 0, 14)
    (trace,) = reference.run(program, [(values, times)])
    simulator = Simulator(program)
    for k in range(14):
        assert simulator.incomplete == (k < 4)
        logits, valid = simulator.step(int(values[k]), int(times[k]))
        assert valid == (k % 4 == 3)
        np.testing.assert_array_equal(logits, trace.values[program.logits][k])
    assert simulator.decision() == (int(np.argmax(logits)), program.class_names[int(np.argmax(logits))])
    many, valid = Simulator(program).step_many(values, times)
    np.testing.assert_array_equal(many, trace.values[program.logits])
    assert valid.nonzero()[0].tolist() == [3, 7, 11]


def test_reset_forgets_everything():
    program = random_program(12, readout="window", pairing="next")
    sample = random_sample(program, 0, 60)
    simulator = Simulator(program)
    first, _ = simulator.step_many(*sample)
    counters = simulator.saturations, simulator.clipped_gaps
    simulator.reset()
    assert simulator.events == 0
    assert simulator.incomplete
    assert not any(simulator.saturations.values())
    again, _ = simulator.step_many(*sample)
    np.testing.assert_array_equal(first, again)
    assert counters == (simulator.saturations, simulator.clipped_gaps)


def test_refused_events_change_nothing():
    program = random_program(6, value="token", pairing="causal")
    values, times = random_sample(program, 0, 30)
    simulator, untouched = Simulator(program), Simulator(program)
    simulator.advance(values[:20], times[:20])
    for value, time_us, reason in (
        (0, int(times[19]) - 1, "lies before"),
        (11, int(times[19]), "outside the vocabulary"),
        (-1, int(times[19]), "outside the vocabulary"),
        (1.5, int(times[19]), "an integer token"),
        (1 << 70, int(times[19]), "an integer token"),
        (0, 1 << 70, "whole microseconds"),
    ):
        with pytest.raises(ProgramError, match=reason):
            simulator.step(value, time_us)
    late = times[20:].copy()
    late[-1] = late[0] - 1
    with pytest.raises(ProgramError, match=r"event 9 .* lies before"):
        simulator.advance(values[20:], late)
    simulator.advance(values[20:], times[20:])
    untouched.advance(values, times)
    np.testing.assert_array_equal(simulator.read(), untouched.read())
    assert simulator.saturations == untouched.saturations


def test_chunks_read_after_every_event_equal_single_events():
    """A chunk runs in blocks, of which the read-outs take one row after the other."""
    for seed, pairing, readout in ((4, "next", "time"), (5, "causal", "mean"), (6, "next", "window")):
        program = random_program(seed, stride=3, pairing=pairing, readout=readout, pool="time", sampled="last")
        values, times = random_sample(program, 0, 2 * BLOCK + 70)
        single, many = Simulator(program), Simulator(program)
        read = [single.step(value, int(time_us)) for value, time_us in zip(values, times, strict=True)]
        cuts = [0, 1, 41, 41, 300, len(times)]
        chunks = [many.step_many(values[a:b], times[a:b]) for a, b in itertools.pairwise(cuts)]
        np.testing.assert_array_equal([logits for logits, _ in read], np.concatenate([chunk[0] for chunk in chunks]))
        assert [valid for _, valid in read] == np.concatenate([chunk[1] for chunk in chunks]).tolist()
        assert single.saturations == many.saturations


def test_a_simulator_is_not_copied():
    simulator = Simulator(random_program(1))
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="restore a snapshot"):
            copied(simulator)


def test_chunks_of_any_layout_are_taken():
    """The machine is told addresses: what is strided, of another byte order or read-only has to be put right before."""
    program = random_program(2, value="dense")
    values, times = random_sample(program, 0, 30)
    expected, _ = Simulator(program).step_many(values, times)
    spaced = np.zeros((30, 2 * values.shape[1]))
    spaced[:, ::2] = values
    late = np.zeros(60, dtype=np.int64)
    late[::2] = times
    fixed = values.copy()
    fixed.flags.writeable = False
    for dense, when in ((spaced[:, ::2], late[::2]), (fixed, times), (np.asfortranarray(values), times.astype(">i8"))):
        np.testing.assert_array_equal(Simulator(program).step_many(dense, when)[0], expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_dense_values_must_be_finite(bad):
    program = random_program(2, value="dense")
    values, times = random_sample(program, 0, 5)
    values[3, 1] = bad
    with pytest.raises(ProgramError, match="NaN or infinity"):
        Simulator(program).advance(values, times)
    for function in (run, reference.run):
        with pytest.raises(ProgramError, match=r"sample 0, event 3: .* NaN or infinity"):
            function(program, [(values, times)])


@pytest.mark.parametrize("bad", [1.0, [1.0], "abc", [["0.5"]]])
def test_dense_values_must_have_the_inputs_shape_and_be_numbers(bad):
    program = random_program(2, value="dense")
    with pytest.raises(ProgramError, match=f"an event is {program.value_input.size} values"):
        Simulator(program).step(bad, 0)
    for strange in (np.full((1, program.value_input.size), "1"), np.full((1, program.value_input.size), 1j)):
        for function in (run, reference.run):
            with pytest.raises(ProgramError, match="give real numbers"):
                function(program, [(strange, np.array([0]))])


@pytest.mark.parametrize("function", [run, reference.run])
def test_bad_samples_are_named(function):
    program = random_program(2, value="token")
    good = random_sample(program, 0, 5)
    for sample, reason in (
        ((np.array([0, 1, 11]), np.array([0, 1, 2])), "sample 1, event 2: 11 lies outside"),
        ((np.array([0, 1, 2]), np.array([0, 5, 2])), "sample 1: event 2 lies 3 us before"),
        ((np.array([0, 1]), np.array([0, 5, 7])), "sample 1: values have shape"),
        ((np.array([0.0, 1.0]), np.array([0, 5])), "sample 1: tokens are float64"),
        ((np.array([0, 1]), np.array([0.0, 5.0])), "sample 1: times are float64"),
        ((np.array([0, 1]), np.array([0, 1 << 60])), "sample 1: .* cut the recording"),
    ):
        with pytest.raises(ProgramError, match=reason):
            function(program, [good, sample])


def test_a_stream_too_long_for_its_sums_is_refused():
    program = random_program(2, value="token", readout="time", pairing="causal")
    simulator = Simulator(program)
    simulator.step(0, 0)
    with pytest.raises(ProgramError, match="windowed or forgetting read-out"):
        simulator.step(0, program.max_duration_us + 1)
    simulator.step(0, program.max_duration_us)
    earliest = Simulator(program)
    earliest.step(0, -(1 << 63))
    with pytest.raises(ProgramError, match="windowed or forgetting read-out"):
        earliest.step(0, (1 << 63) - 1)


def test_windowed_readout_forgets_what_lies_before_its_window(assert_equal):
    program = random_program(8, value="token", stages=1, layers=1, stride=1, readout="mean", pairing="causal")
    windowed = replace_readout(program, mode="window", window=5)
    sample = random_sample(program, 0, 40)
    stream, _ = Simulator(windowed).step_many(*sample)
    assert_equal(windowed, [sample])
    (trace,) = reference.run(windowed, [sample])
    last = next(node for node in program if node.name == "readout").inputs[0]
    scaled = trace.values[last][-5:].sum(axis=0) * 2 ** windowed["readout"].extra_bits
    mean = np.floor(scaled / 5 + 0.5).clip(windowed["readout"].output.min, windowed["readout"].output.max)
    np.testing.assert_array_equal(trace.values["readout"][-1], mean)
    np.testing.assert_array_equal(stream[-1], trace.logits)
    assert_equal(replace_readout(program, mode="forget", decay_shift=3), [sample])


def test_states_of_whole_vectors_count_what_clips(assert_equal):
    """Where modes fill the registers, events of a tick add to 16-bit states by one saturating instruction."""
    choices = {"value": "token", "modes": 16, "state_width": 16, "discretization": "async", "stages": 1, "layers": 1}
    lost = 0
    for seed in range(6):
        program = random_program(seed, extreme=False, **choices)
        samples = [(np.full(3000, token), np.zeros(3000, np.int64)) for token in range(3)]
        lost += assert_equal(program, samples).oracle.saturations["stages/0/layers/0/ssm"]
    assert lost > 1000


@pytest.mark.parametrize("pairing", ["causal", "next"])
def test_times_half_way_between_ticks_belong_to_the_later_one(assert_equal, pairing):
    program = random_program(3, value="token", pairing=pairing)
    units = {node.unit_us for node in program.gap_inputs}
    assert any(unit % 2 == 0 for unit in units)
    tokens, _ = random_sample(program, 0, 40)
    for half in (unit // 2 for unit in units if unit % 2 == 0):
        assert_equal(program, [(tokens, np.arange(40) * half), (tokens, np.arange(40) // 2 * half)])


def test_clips_of_a_table_that_only_a_state_space_reads_are_counted():
    """Without D nothing reads the norm of a token by itself: its row of the drive is looked up."""
    counted = 0
    for seed in range(6):
        program = random_program(seed, value="token", norm="batch", extreme=True, stages=1, layers=1, stride=2)
        y, dropped = program["stages/0/layers/0/y"], "stages/0/layers/0/u_pool"
        ends = {
            name: getattr(y, name)[:1] for name in ("inputs", "formats", "weights", "weight_widths", "weight_fracs")
        }
        nodes = tuple(replace(node, **ends) if node is y else node for node in program if node.name != dropped)
        program = replace(program, nodes=nodes)
        sample = random_sample(program, seed, 30)
        right, found = reference.run(program, [sample])[0], run(program, [sample], trace=False)[0]
        assert found.saturations == right.saturations
        counted += right.saturations["stages/0/layers/0/norm"]
    assert counted > 10
