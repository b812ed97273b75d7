import dataclasses
import math

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.sdn.trainable import SDNConfig
from pumice.train.sdn import fit as module
from pumice.train.sdn.fit import BEST, LAST, TrainSettings, fit
from pumice.train.sdn.reduce import load_trained

QUICK = TrainSettings(config=SDNConfig(d_model=4, kernel_size=3), epochs=3, batch_size=8)
INPUTS = {"x.pt": "0" * 64}


class Stopped(Exception):
    pass


def test_the_loss_falls_and_the_best_epoch_is_kept(tmp_path, small_data):
    figures, steps = [], []
    best = fit(small_data, tmp_path, QUICK, INPUTS, figures.append, lambda *done: steps.append(done))
    assert figures[2].training_loss < figures[0].training_loss
    assert steps == [(step, 15) for step in range(1, 16)]
    assert best["validation_loss"] == min(entry.validation_loss for entry in figures)
    network, data = load_trained(tmp_path / BEST)
    assert data["best"] == best
    assert data["tau"] == 0.125
    assert data["inputs"] == INPUTS
    assert network.config == QUICK.config


@pytest.mark.parametrize("at", [3, 5, 12])
def test_an_interrupted_training_goes_on_with_the_same_bits(tmp_path, small_data, monkeypatch, at):
    monkeypatch.setattr(module, "KEEP_SECONDS", -1.0)
    expected = fit(small_data, tmp_path / "whole", QUICK, INPUTS)

    def stop(step, steps):
        if step == at:
            raise Stopped

    with pytest.raises(Stopped):
        fit(small_data, tmp_path / "cut", QUICK, INPUTS, advance=stop)
    done = []
    assert fit(small_data, tmp_path / "cut", QUICK, INPUTS, advance=lambda *step: done.append(step)) == expected
    assert len(done) < 15
    assert (tmp_path / "cut" / BEST).read_bytes() == (tmp_path / "whole" / BEST).read_bytes()
    last = [torch.load(tmp_path / folder / LAST, weights_only=True) for folder in ("cut", "whole")]
    assert str(last[0]) == str(last[1])
    done.clear()
    assert fit(small_data, tmp_path / "cut", QUICK, INPUTS, advance=lambda *step: done.append(step)) == expected
    assert done == []


def test_another_generator_of_torch_does_not_matter(tmp_path, small_data):
    torch.manual_seed(1)
    first = fit(small_data, tmp_path / "a", QUICK, INPUTS)
    state = torch.get_rng_state()
    assert fit(small_data, tmp_path / "b", QUICK, INPUTS) == first
    assert torch.equal(torch.get_rng_state(), state)
    other = dataclasses.replace(QUICK, seed=1)
    assert fit(small_data, tmp_path / "c", other, INPUTS)["validation_loss"] != first["validation_loss"]


def test_the_loss_near_the_threshold_counts_more(small_data):
    x, mem = torch.tensor([[0.95, 0.2]]), torch.tensor([[0.0, 0.0]])
    predicted = torch.tensor([[0.1, 0.1]])
    plain = module._loss(predicted, x, mem, 0.125, QUICK)
    assert plain == pytest.approx(0.005)
    near = module._loss(predicted, x, mem, 0.125, dataclasses.replace(QUICK, near=3.0))
    assert near == pytest.approx(0.005 * 2.5)
    sharp = module._loss(predicted, x, mem, 0.125, dataclasses.replace(QUICK, beta=0.02))
    assert sharp == pytest.approx(0.09)


def test_a_folder_of_other_settings_or_data_is_refused(tmp_path, small_data):
    quick = dataclasses.replace(QUICK, epochs=1)
    fit(small_data, tmp_path, quick, INPUTS)
    with pytest.raises(PumiceError, match="other settings"):
        fit(small_data, tmp_path, dataclasses.replace(quick, lr=0.1), INPUTS)
    with pytest.raises(PumiceError, match="other inputs"):
        fit(small_data, tmp_path, quick, {"x.pt": "1" * 64})


def test_a_damaged_checkpoint_is_a_sentence(tmp_path, small_data):
    quick = dataclasses.replace(QUICK, epochs=1)
    for wrong in (b"", b"PK nothing", [1], {"about": {}, "state": {}}):
        if isinstance(wrong, bytes):
            (tmp_path / LAST).write_bytes(wrong)
        else:
            torch.save(wrong, tmp_path / LAST)
        with pytest.raises(PumiceError, match="delete it to train anew"):
            fit(small_data, tmp_path, quick, INPUTS)


def test_a_loss_that_is_not_finite_is_a_sentence(tmp_path, small_data):
    wild = dataclasses.replace(small_data, drive=small_data.drive * 3e38)
    with pytest.raises(PumiceError, match="lower lr"):
        fit(wild, tmp_path, QUICK, INPUTS)
    assert not (tmp_path / BEST).exists()


def test_too_few_sequences_are_a_sentence(tmp_path, small_data):
    one = dataclasses.replace(small_data, drive=small_data.drive[:1], membrane=small_data.membrane[:1])
    with pytest.raises(PumiceError, match="1 sequences leave none"):
        fit(one, tmp_path, QUICK, INPUTS)


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.0},
        {"lr": math.nan},
        {"weight_decay": -0.1},
        {"epochs": 0},
        {"batch_size": 0},
        {"beta": 0.0},
        {"near": -1.0},
        {"validation": 1.0},
        {"validation": 0.0},
    ],
)
def test_wrong_settings_are_a_sentence(settings):
    with pytest.raises(PumiceError, match=next(iter(settings))):
        TrainSettings(**settings)


def test_trained_weights_that_hold_something_else_are_a_sentence(tmp_path):
    with pytest.raises(PumiceError, match="does not exist"):
        load_trained(tmp_path / BEST)
    (tmp_path / BEST).write_bytes(b"nothing")
    with pytest.raises(PumiceError, match="cannot be read"):
        load_trained(tmp_path / BEST)
