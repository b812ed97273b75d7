"""Steps of clocked programs: refused or filled in; events counted by step; the step's length in the file."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.program import ProgramError, digest, load, reference, save
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program
from pumice.program.samples import check, encode
from pumice.program.steps import MOST_CELLS, count_events, whole_steps

STEP = 4000


def clocked(seed=0, **fixed):
    return replace(random_network(seed, value="dense", **fixed), step_us=STEP)


@given(
    steps=st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True).map(sorted),
    start=st.integers(-(10**12), 10**12),
    offset=st.integers(0, 3),
)
def test_filling_in_puts_each_row_where_its_time_says(steps, start, offset):
    times = start + STEP * np.array(steps)
    values = np.arange(1.0, 1 + 2 * len(steps)).reshape(-1, 2)
    last = int(times[0]) - STEP * (offset + 1) if offset else None
    filled, at, rows = whole_steps(values, times, STEP, "fill", last)
    before = offset if offset else 0  # empty steps before the first row
    expected = np.zeros((steps[-1] - steps[0] + 1 + before, 2))
    for step, row in zip(steps, values, strict=True):
        expected[step - steps[0] + before] = row
    assert np.array_equal(filled, expected)
    assert np.array_equal(filled[rows], values)
    assert np.array_equal(at[rows], times)
    assert (np.diff(at) == STEP).all()


def test_steps_left_out_are_refused_by_name():
    program = clocked()
    size = program.value_input.size
    times = STEP * np.array([0, 1, 4, 5])
    values = np.eye(4, size)
    with pytest.raises(ProgramError, match=r"sample 3: event 2 comes 3 steps of 4000 us after.*empty_steps='fill'"):
        check(program, (values, times), 3)
    filled, _ = encode(program, (values, times), 0, "fill")
    assert np.array_equal(filled[[0, 1, 4, 5]], values)
    assert not filled[2:4].any()
    with pytest.raises(ProgramError, match="empty_steps='skip' is unknown"):
        check(program, (values, times), 0, "skip")


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([0, 4000, 8001], "event 2 lies 8001 us after the first one, no multiple of the program's step of 4000 us"),
        ([0, 4000, 4000], "event 2 falls into the same step of 4000 us"),
        ([0, 4000, 0], "event 2 lies 4000 us before event 1"),
        ([0, 4000, 4000 * 10**9], "cut the recording there"),
        ([-(2**63), 0, 2**63 - 1], "64-bit sums"),
    ],
)
def test_times_that_are_no_steps_are_refused_in_both_ways(times, reason):
    program = clocked()
    sample = np.zeros((3, program.value_input.size)), np.array(times)
    with pytest.raises(ProgramError, match=reason):
        check(program, sample, 0, "fill")
    with pytest.raises(ProgramError, match=reason if "cut the recording" not in reason else "comes 999999999 steps"):
        check(program, sample, 0)
    assert MOST_CELLS * 8 <= 1 << 30


def test_tokens_have_no_empty_step():
    program = replace(random_network(1, value="token"), step_us=STEP)
    sample = np.array([0, 1]), np.array([0, 2 * STEP])
    with pytest.raises(ProgramError, match="no token stands for an empty step"):
        check(program, sample, 0, "fill")


def test_filling_in_equals_rows_of_zeros_and_leaving_out_does_not():
    """A host may not leave out what decays a state."""
    program, rng = clocked(0, inputs=3, cell="se"), np.random.default_rng(0)
    dense = rng.integers(0, 3, (40, 3)) * (rng.random((40, 1)) < 0.3) * 1.0
    dense[[0, -1]] = 1.0
    kept = np.flatnonzero(dense.any(axis=1))
    times = STEP * np.arange(40)
    (whole,) = reference.run(program, [(dense, times)])
    (filled,) = reference.run(program, [(dense[kept], times[kept])], empty_steps="fill")
    (without,) = reference.run(replace(program, step_us=None), [(dense[kept], times[kept])])
    assert np.array_equal(whole.series, filled.series)
    assert np.array_equal(whole.logits, filled.logits)
    assert not np.array_equal(whole.series[kept], without.series)


def test_the_step_is_in_the_file_and_programs_without_keep_their_digest(tmp_path):
    bare = random_network(0, value="dense")
    known = replace(bare, step_us=STEP)
    save(known, tmp_path / "known.npz")
    save(bare, tmp_path / "bare.npz")
    assert load(tmp_path / "known.npz").step_us == STEP
    assert load(tmp_path / "bare.npz").step_us is None
    assert digest(bare) != digest(known) == digest(load(tmp_path / "known.npz"))
    with zipfile.ZipFile(tmp_path / "bare.npz") as archive, archive.open("header.npy") as file:
        header = json.loads(np.lib.format.read_array(file).tobytes())
    assert "step_us" not in header


@pytest.mark.parametrize("step", [0, -1, True, 1.5, "4000", (1 << 40) + 1])
def test_steps_that_cannot_be_are_refused(step):
    with pytest.raises(ProgramError, match="is no whole number of 1 to"):
        replace(random_network(0), step_us=step)


def test_event_programs_have_no_steps():
    with pytest.raises(ProgramError, match="reads gaps has no steps"):
        replace(random_program(0), step_us=STEP)


@given(
    events=st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 4)), max_size=60).map(sorted),
    step=st.sampled_from([1, 7, 4000]),
)
def test_events_are_counted_by_step(events, step):
    times, channels = (np.array([event[k] for event in events], dtype=np.int64) for k in (0, 1))
    counts, at = count_events(channels, times, step, 5)
    expected: dict[int, list[int]] = {}
    for time, channel in events:
        start = events[0][0] + (time - events[0][0]) // step * step
        expected.setdefault(start, [0] * 5)[channel] += 1
    assert at.tolist() == list(expected)
    assert counts.tolist() == list(expected.values())


def test_one_late_event_takes_no_memory():
    counts, at = count_events(np.array([0, 1]), np.array([0, 1 << 60]), 1000, 700)
    assert counts.shape == (2, 700)
    assert at[1] == (1 << 60) // 1000 * 1000
    with pytest.raises(ProgramError, match=r"channels 0 to 1 lie outside \[0, 1\)"):
        count_events(np.array([0, 1]), np.array([0, 1]), 1000, 1)
    with pytest.raises(ProgramError, match="sort the events"):
        count_events(np.array([0, 1]), np.array([1, 0]), 1000, 2)


def test_event_and_clocked_programs_read_the_same_counted_events():
    """Occupied steps are a sample of a dense event program as they are, of a clocked one with the others filled in."""
    rng = np.random.default_rng(4)
    times, channels = np.sort(rng.integers(0, 10**6, 50)), rng.integers(0, 3, 50)
    for program in (random_program(3, value="dense"), clocked(2, inputs=3)):
        sample = count_events(channels % program.value_input.size, times, STEP, program.value_input.size)
        encode(program, sample, 0, "fill")
