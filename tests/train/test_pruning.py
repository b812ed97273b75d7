"""Pruning while a model learns, against a plain loop in numpy; what is kept, resumed and averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.s5.build import build_s5
from pumice.train import checkpoint
from pumice.train.pruning import Pruning, prunable, zero_shares
from pumice.train.settings import TrainingSettings
from safetensors.torch import load_file
from small_training import interrupt, train_small
from torch import nn

RECIPE = {"epochs": 4, "warmup_epochs": 0, "batch_size": 8, "lr": 1e-2, "weight_decay": 0.0}
SMALL = {"d_model": 8, "d_ssm": 8, "stride": 4}


class Plain(nn.Module):
    """An embedding, two matrices of other sizes, and what is no matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 5)
        self.B = nn.Parameter(torch.randn(3, 4, 2))
        self.log_step = nn.Parameter(torch.randn(6, 1))


def settings(**changes):
    return TrainingSettings(**{**RECIPE, "sparsity": 0.8, **changes})


def numpy_schedule(step, steps, share, first, last):
    """Zhu and Gupta 2017, equation 1, from a share of 0."""
    if step < first * steps:
        return 0.0
    t = min(1.0, (step - first * steps) / ((last - first) * steps))
    return share - share * (1 - t) ** 3


def test_matrices_alone_are_pruned():
    assert list(prunable(Plain())) == ["B", "one.weight", "two.weight"]
    model = build_s5(SMALL, num_classes=5, vocab=20, seed=0)
    layer = [f"stages.0.layers.{i}.{name}" for i in (0, 1) for name in ("ssm.B", "ssm.C", "gate.weight")]
    assert {*layer, "decoder.weight"} <= set(prunable(model))
    assert not [name for name in prunable(model) if "embedding" in name or "log_step" in name or "norm" in name]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_every_step_as_a_plain_loop_prunes(scope):
    """Random updates in place of an optimizer's; magnitudes of complex entries are those of the numbers."""
    torch.manual_seed(1)
    model, steps = Plain(), 20
    with torch.no_grad():
        model.two.weight.mul_(5)  # another scale
    pruning = Pruning(model, settings(sparsity_from=0.2, sparsity_until=0.6, sparsity_scope=scope), steps)
    shadow = {name: weight.detach().double().numpy().copy() for name, weight in prunable(model).items()}
    rng, shares = np.random.default_rng(0), []
    for step in range(1, steps + 1):
        pruning.before(step)
        alive = {name: np.abs(array).reshape(*array.shape[:2], -1).sum(2) != 0 for name, array in shadow.items()}
        with torch.no_grad():
            for name, weight in prunable(model).items():
                change = rng.normal(size=weight.shape).astype(np.float32) * 0.05
                weight.add_(torch.from_numpy(change))
                shadow[name] = weight.double().numpy().copy()
        pruning.after(step)
        share = numpy_schedule(step, steps, 0.8, 0.2, 0.6)
        shares.append(share)
        sizes = {}
        for name, array in shadow.items():
            if step > 0.2 * steps:
                array[~alive[name]] = 0
            sizes[name] = np.sqrt((array.reshape(*array.shape[:2], -1) ** 2).sum(2))
        if scope == "layer":
            for name, size in sizes.items():
                gone = np.argsort(size.reshape(-1), kind="stable")[: round(share * size.size)]
                shadow[name].reshape(size.size, -1)[gone] = 0
        else:
            relative = np.concatenate([(s / np.sqrt((s**2).mean())).reshape(-1) for s in sizes.values()])
            gone = np.zeros(len(relative), bool)
            gone[np.argsort(relative, kind="stable")[: round(share * len(relative))]] = True
            start = 0
            for name, size in sizes.items():
                shadow[name].reshape(size.size, -1)[gone[start : start + size.size]] = 0
                start += size.size
        for name, weight in prunable(model).items():
            np.testing.assert_array_equal(weight.detach().numpy(), shadow[name].astype(np.float32))
    assert shares[3] == 0
    assert shares[4] > 0
    assert shares == sorted(shares)
    total = sum(float((weight == 0).sum()) for weight in prunable(model).values())
    assert total / sum(weight.numel() for weight in prunable(model).values()) == pytest.approx(0.8, abs=0.02)
    assert pruning.ended(12)
    assert not pruning.ended(11)


def test_nothing_to_prune_is_a_sentence():
    with pytest.raises(PumiceError, match="the model has no weight matrix"):
        Pruning(nn.Embedding(3, 4), settings(), 10)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sparsity": 1.0}, "sparsity=1.0 has to lie between 0 and 1"),
        ({"sparsity": 0.0}, "sparsity=0.0 has to lie between 0 and 1"),
        ({"sparsity_from": 0.8}, "sparsity_from=0.8 and training.sparsity_until=0.7 have to be in order"),
        ({"sparsity_until": 1.1}, "sparsity_until=1.1 have to be in order"),
        ({"sparsity_scope": "row"}, "sparsity_scope=row is unknown; use one of: layer, global"),
    ],
)
def test_settings_outside_their_limits_are_refused(changes, sentence):
    with pytest.raises(PumiceError) as refused:
        settings(**changes)
    assert sentence in str(refused.value)


@pytest.fixture
def trained(small_set, tmp_path):
    """``trained(name, **recipe)``: the keeper of a training on the small set."""

    def train(name="run", **recipe):
        model = build_s5(SMALL, num_classes=20, vocab=700, seed=0)
        return train_small(model, small_set, tmp_path / name, settings(**recipe))

    return train


def test_what_is_kept_is_sparse_and_so_is_its_average(trained, monkeypatch):
    monkeypatch.setattr(checkpoint, "_rank", lambda figures: -figures["epoch"])  # the earlier, the better
    keeper = trained(ema_decay=0.9)
    assert keeper.best["epoch"] == 3  # 0.7 of four epochs have passed only then
    model = build_s5(SMALL, num_classes=20, vocab=700, seed=0)
    model.load_state_dict(load_file(keeper.best_path))
    for name, share in zero_shares(model).items():
        count = prunable(model)[name].shape[0] * prunable(model)[name].shape[1]
        assert share == round(0.8 * count) / count, name


def test_an_interrupted_training_ends_with_the_same_weights(trained, monkeypatch):
    whole = trained("whole", checkpoint_every_steps=3)
    interrupt(monkeypatch, lambda: trained("cut", checkpoint_every_steps=3), at=23)
    cut = trained("cut", checkpoint_every_steps=3)
    assert cut.best_path.read_bytes() == whole.best_path.read_bytes()
