"""CutMix against its definition: what is kept, what is pasted, and the weight of the labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.train.data.events.cutmix import cut_mix, paste
from pumice.train.data.events.loading import BatchBuilder
from pumice.train.data.plan import BatchKey
from pumice.train.data.recordings import make_events
from pumice.train.data.task import TaskConfig


def sample(n, owner, rng):
    return make_events(np.sort(rng.integers(0, 1000, n)), np.full(n, owner))


@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=8), seed=st.integers(0, 2**32))
def test_mixed_samples_follow_the_definition(counts, seed):
    rng = np.random.default_rng(seed)
    samples = [sample(n, owner, rng) for owner, n in enumerate(counts)]
    mixed, partners, masks = cut_mix(samples, rng)
    assert sorted(partners) == list(range(len(counts)))
    for row, (events, partner, mask) in enumerate(zip(mixed, partners, masks, strict=True)):
        cut, kept = events[mask], events[~mask]
        assert (np.diff(events["t"]) >= 0).all()
        assert (cut["x"] == partner).all()
        assert (kept["x"] == row).all()
        n = counts[partner]
        assert 1 <= len(cut) <= max(n - 1, 1)
        assert cut["t"].tolist() in [samples[partner]["t"][s : s + len(cut)].tolist() for s in range(n)]
        own = samples[row]["t"]
        assert kept["t"].tolist() == [t for t in own.tolist() if not cut["t"][0] <= t <= cut["t"][-1]]


def test_paste_replaces_the_span_bounds_included():
    base = make_events(np.array([0, 10, 20, 30, 40]), np.zeros(5))
    cut = make_events(np.array([10, 25, 30]), np.ones(3))
    events, mask = paste(base, cut)
    assert events["t"].tolist() == [0, 10, 25, 30, 40]
    assert mask.tolist() == [False, True, True, True, False]


def test_empty_samples_are_left_alone():
    full, empty = make_events(np.arange(9), np.ones(9)), make_events(np.zeros(0), np.zeros(0))
    for seed in range(20):
        mixed, partners, masks = cut_mix([full, empty], np.random.default_rng(seed))
        assert len(mixed[1]) == 0
        if partners[0] == 1:
            assert np.array_equal(mixed[0], full)
            assert not masks[0].any()


def test_sizes_and_starts_cover_their_range_evenly():
    rng = np.random.default_rng(0)
    events = make_events(np.arange(5) * 10, np.arange(5))
    seen = [tuple(m[0][mask[0]]["x"].tolist()) for m, _, mask in (cut_mix([events], rng) for _ in range(4000))]
    sizes = np.bincount([len(cut) for cut in seen], minlength=6)
    assert sizes[0] == sizes[5] == 0
    assert sizes[1:5] / 4000 == pytest.approx(0.25, abs=0.03)
    assert {cut[0] for cut in seen if len(cut) == 1} == {0, 1, 2, 3, 4}


class Telling:
    """Samples whose events say their class: class k speaks on channel k alone."""

    def __init__(self, count, classes):
        rng = np.random.default_rng(3)
        self.labels = np.arange(count) % classes
        self.events = [sample(int(rng.integers(20, 60)), label, rng) for label in self.labels]

    def __getitem__(self, index):
        return self.events[index], int(self.labels[index])


@pytest.mark.parametrize("max_events", [None, 15])
def test_soft_labels_are_the_shares_of_the_events_that_are_there(max_events):
    classes = 7
    task = TaskConfig("telling", "shd", classes, (classes,), pad_unit=1, cut_mix=1.0, max_events=max_events)
    builder = BatchBuilder(Telling(14, classes), task, training=True, seed=5)
    mixed = 0
    for number in range(20):
        batch = builder[BatchKey(0, number, (3, 1, 4, 0, 5, 9, 2, 6))]
        for tokens, length, target in zip(batch.tokens, batch.lengths, batch.targets, strict=True):
            shares = np.bincount(tokens[:length], minlength=classes) / int(length)
            np.testing.assert_allclose(target, shares, atol=1e-6)
            mixed += int((shares > 0).sum() > 1)
    assert mixed > 50


def test_so_many_batches_are_mixed_as_the_task_says():
    task = TaskConfig("telling", "shd", 7, (7,), pad_unit=1, cut_mix=0.3)
    samples = Telling(14, 7)
    builders = [BatchBuilder(samples, task, training=training, seed=5) for training in (True, False)]
    shares = [
        np.mean([bool((b[BatchKey(epoch, n, (0, 1, 2, 3, 4, 5))].targets.max(1).values < 1).any()) for n in range(300)])
        for b, epoch in zip(builders, (1, 0), strict=True)
    ]
    assert shares[0] == pytest.approx(0.3, abs=0.08)
    assert shares[1] == 0


def test_crops_begin_at_any_event():
    samples = Telling(2, 2)
    samples.events = [make_events(np.arange(12), np.arange(12))] * 2
    task = TaskConfig("telling", "shd", 12, (12,), pad_unit=1, max_events=10)
    builder = BatchBuilder(samples, task, training=True, seed=5)
    starts = [int(builder[BatchKey(0, number, (0,))].tokens[0, 0]) for number in range(90)]
    assert np.bincount(starts).shape == (3,)
    assert np.bincount(starts).min() > 15
