"""Disturbed recordings and their clean rates; the loss of values over steps that are real, and no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pumice.api.data import load_data
from pumice.api.models import build_model
from pumice.errors import PumiceError
from pumice.train.data.sequences.denoise import disturbed, smoothed
from pumice.train.evaluate import predict
from pumice.train.module import task_loss
from scipy.signal import lfilter


@pytest.fixture(scope="module")
def denoise(small_set):
    """``denoise(every=1, **settings)``: the data of 7 groups of channels."""

    def make(every=1, **settings):
        reads = "events" if every else None
        changes = {"root": str(small_set), "group": 100, "noise": 0.1, "lost": 0.2, **settings}
        return load_data("denoise", reads=reads, every=every, batch_size=8, eval_batch_size=16, **changes)

    return make


def test_rates_are_those_of_a_filter():
    counts = np.random.default_rng(0).poisson(1.0, (50, 4)).astype(np.float32)
    keep = np.exp(-1 / 5)
    np.testing.assert_allclose(smoothed(counts, 5), lfilter([1 - keep], [1, -keep], counts, axis=0), rtol=1e-6)


def test_what_is_lost_and_what_is_added():
    counts = np.full((400, 50), 3, np.float32)
    assert (disturbed(counts, 0, 0, np.random.default_rng(0)) == counts).all()
    kept = disturbed(counts, 0.25, 0, np.random.default_rng(0))
    assert kept.max() <= 3
    assert kept.mean() == pytest.approx(3 * 0.75, rel=0.01)
    assert disturbed(counts * 0, 0.25, 0.5, np.random.default_rng(0)).mean() == pytest.approx(0.5, rel=0.03)


def test_batches_and_what_is_evaluated(denoise):
    data = denoise()
    (first, *_), (again, *_) = data.batches("test"), denoise().batches("test")
    assert torch.equal(first.tokens, again.tokens)  # disturbed once and for all
    assert not torch.equal(first.tokens, next(iter(denoise(noise_seed=1).batches("test"))).tokens)
    assert first.targets.shape == (16, first.tokens.shape[1] + 1, 7)
    assert len(set(first.lengths.tolist())) > 3
    real = torch.arange(first.targets.shape[1]).sub(1) < first.lengths.unsqueeze(1)
    real[:, 0] = False
    assert torch.equal(~first.targets.isnan().any(2), real)
    assert data.labels("test").shape == (len(data.recordings("test")), 7)
    lengths = [len(rows) for rows, _ in data.program_samples("test")]
    np.testing.assert_array_equal(np.bincount(data.recordings("test")), lengths)
    loader = data.train_dataloader()
    loader.plan.set_epoch(0)
    one = next(iter(loader))
    loader.plan.set_epoch(0)
    assert torch.equal(next(iter(loader)).tokens, one.tokens)
    assert data.class_names[1] == "channels 100 to 199"


@pytest.mark.parametrize("every", [1, 4])
def test_the_loss_is_that_of_a_plain_loop(denoise, every):
    """Uneven lengths: the mean over real steps and values, each answer standing for its window."""
    (batch, *_) = denoise(every).batches("test")
    settings = {"family": "s5", "d_model": 8, "d_ssm": 8, "block_size": 4, "head": "steps", "stages": 1}
    model = build_model({**settings, "stride": every}, num_classes=7, in_features=7).double().eval()
    loss = task_loss(*batch._replace(targets=batch.targets.double()).apply(model), regression=True)
    total, count = 0.0, 0
    for row, length in enumerate(batch.lengths.tolist()):
        with torch.no_grad():
            said = model(batch.tokens[row : row + 1, :length], batch.dt[row : row + 1, :length], torch.tensor([length]))
        for step in range(length):
            place = min(step // every, length // every - 1)
            for value in range(7):
                told = float(said[0, place, value]) if place >= 0 else 0.0
                total += (told - float(batch.targets[row, step + 1, value])) ** 2
                count += 1
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-9)
    found = predict(model, [batch])
    assert found.values
    assert found.labels.shape == (count // 7, 7)


def test_what_is_refused(denoise):
    for name, value in (("noise", -1), ("noise", 1000), ("lost", 1.0), ("tau_ms", 0)):
        with pytest.raises(PumiceError, match=f"task.{name}"):
            denoise(**{name: value})
    with pytest.raises(PumiceError, match=r"choose model\.head=steps"):
        load_data("denoise", reads="events")
    with pytest.raises(PumiceError, match="task oscillation has not one label a sequence"):
        load_data("oscillation", reads="events", every=1)
