"""Splits, slices and the order of batches."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.train.data.events.samples import EventSamples, slice_bounds
from pumice.train.data.plan import TrainingPlan, evaluation_plan
from pumice.train.data.sources.shd_layout import ShdRecordings
from pumice.train.data.task import Validation, hold_out

LENGTHS = np.random.default_rng(0).integers(10, 1000, 103)


@given(length=st.integers(0, 5000), size=st.integers(2, 400))
def test_slices_cover_the_recording_half_overlapping(length, size):
    bounds = slice_bounds(length, size)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == length
    assert all(stop - start == size for start, stop in bounds[:-1])
    assert all(after[0] - before[0] == size // 2 for before, after in pairwise(bounds))
    assert bounds == [(0, length)] or all(stop - start > size - size // 2 for start, stop in bounds)


def test_speakers_are_held_out_whole(tmp_path, shd_file):
    recordings = ShdRecordings(shd_file(tmp_path / "x.h5", [5] * 60, speakers=10), 700, 20)
    train, held = hold_out(recordings, Validation("speaker", 0.2, seed=3))
    assert len(set(recordings.speakers[held])) == 2
    assert not set(recordings.speakers[held]) & set(recordings.speakers[train])
    assert sorted([*train, *held]) == list(range(60))
    again = hold_out(recordings, Validation("speaker", 0.2, seed=3))
    other = hold_out(recordings, Validation("speaker", 0.2, seed=4))
    assert np.array_equal(again[1], held)
    assert not np.array_equal(other[1], held)


def test_a_share_of_the_recordings_is_held_out(tmp_path, shd_file):
    recordings = ShdRecordings(shd_file(tmp_path / "x.h5", [5] * 60), 700, 20)
    train, held = hold_out(recordings, Validation("sample", 0.1))
    assert len(held) == 6
    assert sorted([*train, *held]) == list(range(60))
    with pytest.raises(PumiceError, match="leaves no samples"):
        hold_out(recordings, Validation("sample", 0.001))
    recordings.speakers = None
    with pytest.raises(PumiceError, match=r"validation\.by=sample"):
        hold_out(recordings, Validation("speaker"))


def test_empty_training_samples_are_refused_and_named(tmp_path, shd_file):
    recordings = ShdRecordings(shd_file(tmp_path / "x.h5", [5, 0, 1]), 700, 20)
    with pytest.raises(PumiceError, match=r"sample 1 of .*x.h5 has 0 events"):
        EventSamples(recordings, fewest=1)
    with pytest.raises(PumiceError, match=r"sample 2 of"):
        EventSamples(recordings, np.array([0, 2]), fewest=2)
    assert [len(events) for events, _ in EventSamples(recordings)] == [5, 0, 1]
    with pytest.raises(PumiceError, match="no samples"):
        EventSamples(recordings, np.array([], dtype=np.int64))


@given(
    count=st.integers(1, 200),
    size=st.integers(1, 20),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 50),
    bucket=st.none() | st.integers(1, 5),
)
def test_an_epoch_is_a_permutation_cut_into_batches(count, size, seed, epoch, bucket):
    if count < size:
        with pytest.raises(PumiceError, match="smaller batch"):
            TrainingPlan(np.ones(count), size, seed, bucket)
        return
    lengths = np.random.default_rng(seed).integers(1, 99, count)
    plan = TrainingPlan(lengths, size, seed, bucket)
    plan.set_epoch(epoch)
    keys = list(plan)
    assert len(keys) == len(plan) == count // size
    assert [key.number for key in keys] == list(range(len(keys)))
    assert {key.epoch for key in keys} == {epoch}
    samples = [sample for key in keys for sample in key.samples]
    assert len(set(samples)) == len(samples) == len(keys) * size
    assert list(plan) == keys


def test_every_epoch_and_seed_has_its_own_order():
    orders = {
        tuple(TrainingPlan(LENGTHS, 8, seed).order(epoch).ravel().tolist()) for seed in range(3) for epoch in range(3)
    }
    assert len(orders) == 9


@pytest.mark.parametrize("bucket", [None, 3])
def test_an_interrupted_epoch_goes_on_where_it_stopped(bucket):
    plan = TrainingPlan(LENGTHS, 8, 0, bucket)
    plan.set_epoch(5)
    whole = list(plan)
    fresh = TrainingPlan(LENGTHS, 8, 0, bucket)
    fresh.resume_at(5, 4)
    fresh.set_epoch(5)
    assert list(fresh) == whole[4:]
    assert list(fresh) == whole
    fresh.resume_at(5, 4)
    fresh.set_epoch(6)
    assert [key.number for key in fresh] == list(range(12))


def test_buckets_save_padding_and_shuffle_batches():
    def padding(bucket):
        batches = LENGTHS[TrainingPlan(LENGTHS, 8, 0, bucket).order(0)]
        return (batches.max(axis=1, keepdims=True) - batches).sum()

    assert padding(12) < padding(2) < padding(None)
    longest = LENGTHS[TrainingPlan(LENGTHS, 8, 0, 12).order(0)].max(axis=1)
    assert not np.array_equal(longest, np.sort(longest))


def test_evaluation_goes_through_all_samples_in_order():
    keys = evaluation_plan(10, 4)
    assert [key.samples for key in keys] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
