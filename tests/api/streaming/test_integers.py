"""A stream gives the integers of whole samples, however it is cut, stopped and taken up again."""

import json

import numpy as np
import pumice
import pytest
from pumice.errors import PumiceError
from pumice.program import ProgramError, reference, replace_readout
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

LENGTH = 70
SIZES = (1, 7, 64)


def block(program, sample, start, stop):
    """Events of a sample as a source gives them: t and token, or t and values."""
    values, times = sample
    if program.value_input.event_shape:
        return np.concatenate([times[start:stop, None], values[start:stop]], axis=1)
    return times[start:stop], values[start:stop]


def streamed(program, sample, size, **settings):
    blocks = [block(program, sample, at, at + size) for at in range(0, len(sample[1]), size)]
    return list(pumice.stream(program, blocks, **settings))


@pytest.mark.parametrize("seed", range(24))
def test_a_stream_ends_where_the_whole_sample_does(seed):
    program = random_program(seed)
    sample = random_sample(program, seed, LENGTH)
    whole = {end: reference.run(program, [tuple(part[:end] for part in sample)])[0] for end in (20, 40, 60, LENGTH)}
    for size in SIZES:
        found = streamed(program, sample, size, every=20)
        assert [decision.events for decision in found] == [20, 40, 60, LENGTH]
        for decision in found:
            trace = whole[decision.events]
            np.testing.assert_array_equal(decision.logits, trace.logits)
            assert decision.index == trace.logits.argmax()
            assert decision.incomplete == trace.incomplete
            assert decision.time_us == sample[1][decision.events - 1]


def test_both_pairings_and_gaps_were_among_them():
    programs = [random_program(seed) for seed in range(24)]
    assert {program.pairing for program in programs} == {"causal", "next"}
    assert {bool(program.value_input.event_shape) for program in programs} == {True, False}
    assert any(max(program.rates.values()) > 1 for program in programs)


@pytest.mark.parametrize("make", [random_network, random_loihi])
def test_networks_of_neurons(make):
    program = make(1, value="dense", inputs=6)
    rng = np.random.default_rng(0)
    rows = (rng.random((40, 6)) < 0.3).astype(float)
    times = (program.step_us or 1000) * np.arange(40)
    (trace,) = reference.run(program, [(rows, times)])
    for size in SIZES:
        found = list(pumice.stream(program, [rows[at : at + size] for at in range(0, 40, size)], every=16))
        assert [decision.events for decision in found] == [16, 32, 40]
        np.testing.assert_array_equal(found[-1].logits, trace.logits)


@pytest.mark.parametrize(("setting", "mode"), [({"window": 5}, "window"), ({"forget": 3}, "forget")])
def test_other_read_outs(setting, mode):
    program = random_program(3)
    sample = random_sample(program, 3, LENGTH)
    other = replace_readout(program, mode=mode, window=setting.get("window", 0), decay_shift=setting.get("forget", 0))
    (trace,) = reference.run(other, [sample])
    assert np.any(reference.run(program, [sample])[0].logits != trace.logits)
    np.testing.assert_array_equal(streamed(program, sample, 9, **setting)[-1].logits, trace.logits)


@pytest.mark.parametrize("seed", range(12))
def test_a_stream_is_taken_up_again(seed, tmp_path):
    program = random_program(seed)
    sample = random_sample(program, seed, LENGTH)
    whole = streamed(program, sample, LENGTH, every=20)
    first = pumice.stream(program, every=20)
    found = list(first.take(block(program, sample, 0, 33)))
    first.save(tmp_path / "state.npz")
    second = pumice.stream(program, every=20)
    second.restore(tmp_path / "state.npz")
    assert (second.events, second.taken) == (33, 0)
    np.testing.assert_array_equal(second.decision().logits, first.decision().logits)
    faster = pumice.stream(program, every=4)
    faster.restore(tmp_path / "state.npz")
    assert [decision.events for decision in faster.take(block(program, sample, 33, 50))] == [36, 40, 44, 48]
    found += [*second.take(block(program, sample, 33, LENGTH)), *second.finish()]
    assert [decision.events for decision in found] == [decision.events for decision in whole]
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)


def test_states_of_others_are_refused(tmp_path):
    program, state = random_program(0), tmp_path / "state.npz"
    running = pumice.stream(program)
    list(running.take(block(program, random_sample(program, 0, 30), 0, 30)))
    running.save(state)
    for other in (pumice.stream(random_program(1)), pumice.stream(program, window=4)):
        with pytest.raises(PumiceError, match="state of another program, read-out or version"):
            other.restore(state)
    with np.load(state) as file:
        arrays = dict(file)
    changed = dict(arrays)
    name = next(name for name in arrays if name != "header" and arrays[name].size)
    changed[name] = arrays[name] + 1
    np.savez(state, **changed)
    with pytest.raises(PumiceError, match="does not match its digest"):
        running.restore(state)
    header = json.loads(arrays["header"].tobytes())
    np.savez(state, **arrays | {"header": np.frombuffer(json.dumps(header | {"version": 9}).encode(), np.uint8)})
    with pytest.raises(PumiceError, match="version 9"):
        running.restore(state)
    state.write_bytes(b"PK nothing")
    with pytest.raises(PumiceError, match="no state of a stream, or damaged"):
        running.restore(state)
    with pytest.raises(PumiceError, match="no state of a stream, or damaged"):
        running.restore(tmp_path / "none.npz")
    np.savez(state, header=np.frombuffer(b'{"format": "other"}', np.uint8))
    with pytest.raises(PumiceError, match="is no state of a stream"):
        running.restore(state)


@pytest.mark.parametrize("seed", range(6))
def test_the_machine_finds_its_way_by_no_number_of_others(seed):
    """Places and tokens in a state are indices: beyond their limits they are refused, and nothing is changed."""
    program = replace_readout(random_program(seed), mode="window", window=3)
    simulator = pumice.Simulator(program)
    sample = random_sample(program, seed, 30)
    simulator.advance(*sample)
    own = simulator.snapshot()
    assert simulator._plan.indices
    at = np.cumsum([0, *(size for arena, _, size in simulator._plan.changing if arena == 2)])
    starts = [start for arena, start, _ in simulator._plan.changing if arena == 2]
    for place, _, low, high in simulator._plan.indices:
        for value in (low - 1, high + 1):
            forged = {name: array.copy() for name, array in own.items()}
            forged["a64"][at[starts.index(place)]] = value
            with pytest.raises(ProgramError, match="no stream of this program has"):
                simulator.restore(forged)
            for name, array in simulator.snapshot().items():
                np.testing.assert_array_equal(array, own[name])
    with pytest.raises(ProgramError, match="none of this program"):
        simulator.restore(own | {"a16": own["a16"].astype(np.int32)})


def test_decisions_by_time():
    program = next(each for each in map(random_program, range(20)) if not each.value_input.event_shape)
    times = np.array([0, 10, 400, 999, 1000, 1001, 5000, 5001])
    tokens = np.zeros(8, np.int64)
    for size in (1, 3, 8):
        blocks = [(times[at : at + size], tokens[at : at + size]) for at in range(0, 8, size)]
        found = list(pumice.stream(program, blocks, every_ms=1.0))
        assert [decision.events for decision in found] == [4, 6, 8]
        assert [decision.time_us for decision in found] == [999, 1001, 5001]


def test_settings_that_mean_nothing_are_refused():
    program = random_program(0)
    for settings, reason in (
        ({"window": 4, "forget": 2}, "two read-outs"),
        ({"window": 0}, "window=0"),
        ({"forget": 30}, "forget=30"),
        ({"every": 0}, "raise every"),
        ({"faults": "ignore"}, "faults=ignore"),
        ({"unit": "ns"}, "unit=ns"),
        ({"backend": "both"}, "nothing"),
    ):
        if "backend" in settings:
            with pytest.raises(PumiceError, match="backend=both is unknown"):
                pumice.stream("program.npz", **settings)
        else:
            with pytest.raises(PumiceError, match=reason):
                pumice.stream(program, **settings)
    with pytest.raises(PumiceError, match="not a list"):
        pumice.stream([1, 2])
