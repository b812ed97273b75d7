"""Plain files as samples of clocked programs."""

from dataclasses import replace

import numpy as np
import pytest
from pumice.cli.inputs import read_inputs
from pumice.errors import PumiceError
from pumice.program.random.loihi import random_loihi
from pumice.program.random.programs import random_program


@pytest.fixture(scope="module")
def program():
    """Five channels of counts to 255."""
    return random_loihi(0, value="dense", layers=1, inputs=5, input="counts", extreme=False)


@pytest.fixture(scope="module")
def spiking():
    """Five channels of spikes."""
    return random_loihi(0, value="dense", layers=1, inputs=5, input="spikes", extreme=False)


@pytest.fixture
def kept(tmp_path):
    """``kept(array)``: the path of a file of it."""

    def write(array):
        np.save(tmp_path / "input.npy", array)
        return tmp_path / "input.npy"

    return write


def test_an_array_is_a_sample_and_a_stack_of_them_many(program, kept):
    rows = np.random.default_rng(0).integers(0, 255, (3, 7, 5))
    for array, expected in ((rows[0], rows[:1]), (rows, rows), (rows.astype(bool), rows.astype(bool))):
        found = read_inputs(kept(array), program)
        np.testing.assert_array_equal([values for values, _ in found.samples], expected)
        assert found.outside == 0
    assert found.samples[0][1].tolist() == list(range(0, 7000, 1000))
    timed = read_inputs(kept(rows[0]), replace(program, step_us=250), steps=4)
    assert timed.samples[0][1].tolist() == [0, 250, 500, 750]


def test_arrays_of_an_archive_are_samples(program, tmp_path):
    rng = np.random.default_rng(1)
    arrays = {"b": rng.integers(0, 9, (4, 5)), "a": rng.integers(0, 9, (2, 3, 5)).astype(np.float32)}
    np.savez_compressed(tmp_path / "some.npz", **arrays)
    found = read_inputs(tmp_path / "some.npz", program)
    assert [values.shape for values, _ in found.samples] == [(4, 5), (3, 5), (3, 5)]
    np.testing.assert_array_equal(found.samples[2][0], arrays["a"][1])


EVENTS = np.array([[4, 0, 2.4], [0, 0, 0.3], [1, 0, 1.5], [4, 0, 1.6], [4, 0, 1.9], [3, 0, 6.0]])


def test_three_columns_are_events_rounded_to_steps(program, spiking, kept):
    """The nearest step, as slayer bins; 1.5 is even's."""
    counts = np.zeros((7, 5))
    for channel, step in ((4, 2), (0, 0), (1, 2), (4, 2), (4, 2), (3, 6)):
        counts[step, channel] += 1
    found = read_inputs(kept(EVENTS), program)
    np.testing.assert_array_equal(found.samples[0][0], counts)
    assert any("read as events of the columns channel, polarity, time" in note for note in found.notes)
    assert any("2 events share step and channel with another, and are counted" in note for note in found.notes)
    found = read_inputs(kept(EVENTS), spiking, steps=9)
    np.testing.assert_array_equal(found.samples[0][0], np.pad(np.minimum(counts, 1), ((0, 2), (0, 0))))
    assert any("and are one spike" in note for note in found.notes)
    found = read_inputs(kept(EVENTS), spiking, steps=3)
    np.testing.assert_array_equal(found.samples[0][0], np.minimum(counts[:3], 1))
    assert any("1 events behind step 2 are left out (steps=3)" in note for note in found.notes)


def test_columns_may_be_named(program, kept):
    array = np.array([[7.0, 2, 0, 1], [9, 0, 1, 3]])
    found = read_inputs(kept(array), program, columns=["_", "time", "_", "channel"])
    assert np.argwhere(found.samples[0][0]).tolist() == [[0, 3], [2, 1]]
    three = random_loihi(0, value="dense", layers=1, inputs=3, extreme=False)
    assert read_inputs(kept(EVENTS[:2]), three).samples[0][0].shape == (2, 3)


def test_values_that_the_input_clips_are_counted(spiking, kept):
    rows = np.array([[0, 1, 2, -1, 0.5], [1, 1, 1, 0, 0]])
    found = read_inputs(kept(rows), spiking)
    assert (found.outside, found.values) == (3, 10)


@pytest.mark.parametrize(
    ("array", "settings", "sentence"),
    [
        (np.zeros((4, 6)), {}, r"has shape \(4, 6\); give \(steps, 5\) or \(samples, steps, 5\)"),
        (np.zeros(5), {}, r"has shape \(5,\)"),
        (np.full((4, 5), np.nan), {}, "holds NaN or infinite numbers"),
        (np.zeros((4, 5)), {"steps": 5}, "has samples of 4 steps, steps=5 are asked for; lower steps"),
        (np.array([["a"] * 5]), {}, "are <U1; give real numbers"),
        (np.zeros((4, 5), dtype=complex), {}, "are complex128; give real numbers"),
        (EVENTS, {"columns": ["channel", "time"]}, r"has shape \(6, 3\); 2 columns are named"),
        (EVENTS, {"columns": ["time", "x", "channel"]}, "columns=time,x,channel: name channel, time"),
        (EVENTS, {"columns": ["time", "time", "channel"]}, "name channel, time"),
        (EVENTS, {"columns": ["time", "_", "channel"]}, "event 0: channel 2.4 at step 4 lies outside the input of 5"),
        (EVENTS - [0, 0, 2], {}, "event 1: channel 0 at step -2 lies outside"),
        (EVENTS + np.array([1, 0, 0]), {}, "event 0: channel 5 at step 2 lies outside the input of 5 channels"),
        (EVENTS * [1, 0, 1e9], {}, "lasts 6000000001 steps of 5 channels"),
        (EVENTS + np.array([0, 1, 0]) * np.eye(6)[:, :1], {}, "has events of several polarities"),
    ],
)
def test_other_arrays_are_refused(program, kept, array, settings, sentence):
    with pytest.raises(PumiceError, match=sentence) as refused:
        read_inputs(kept(array), program, **settings)
    assert "input.npy" in str(refused.value) or "columns=" in str(refused.value)


def test_other_files_are_refused(program, tmp_path):
    with pytest.raises(PumiceError, match=r"none\.npy does not exist"):
        read_inputs(tmp_path / "none.npy", program)
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "bad.npz").write_text("1 2 3")
    np.save(tmp_path / "long.npy", np.zeros((4, 5)))
    whole = (tmp_path / "long.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-8])
    (tmp_path / "huge.npy").write_bytes(whole.replace(b"(4, 5)", b"(1<9,5)").replace(b"(1<9,5)", b"(999999999,5)"))
    for name in ("object.npy", "text.npy", "bad.npz", "cut.npy", "huge.npy"):
        with pytest.raises(PumiceError, match="or damaged"):
            read_inputs(tmp_path / name, program)
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(PumiceError, match="holds no arrays"):
        read_inputs(tmp_path / "empty.npz", program)


def test_programs_of_events_take_no_plain_inputs(kept):
    with pytest.raises(PumiceError, match="plain inputs are for one vector a step alone"):
        read_inputs(kept(np.zeros((4, 5))), random_program(0))
