"""What fine-tuning makes of the float model's recipe, and which weights it ends with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from pumice.quantize import qat as quantize_qat
from pumice.quantize.distillation.judge import Judge
from pumice.quantize.tuning import FamilyTuning, FineTuning
from pumice.train.data.listed import ListedData
from pumice.train.settings import LoggingSettings, SystemSettings, TrainingSettings
from pumice.train.weights import save_weights

RECIPES = {
    "two rates": {"ssm_base_lr": 0.02, "lr_factor": 5.0},
    "one rate": {"lr": 0.02},
    "plateau": {"lr": 0.02, "schedule": "plateau", "warmup_epochs": 0},
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_is_slowed_and_the_best_epoch_is_kept(name, build_spiking, tmp_path, monkeypatch):
    asked = {}

    def fit(model, data, folder, *, training, **others):
        asked.update(training=training, **others, mode=model.training, data=data, said=sorted(folder.iterdir()))
        with torch.no_grad():
            model.model.readout.linear.weight.fill_(1.0)  # the best epoch's
            save_weights(tmp_path / "best.safetensors", model, {})
            model.model.readout.linear.weight.fill_(2.0)  # the last one's
        return SimpleNamespace(best_path=tmp_path / "best.safetensors", best={"epoch": 2, "loss": 0.5})

    monkeypatch.setattr(quantize_qat, "fit", fit)
    recipe = TrainingSettings(
        **{"epochs": 40, "warmup_epochs": 4, "batch_size": 8, "weight_decay": 0.1, "ema_decay": 0.99} | RECIPES[name],
        norm_samples=20,
    )
    made = build_spiking()
    data = ListedData([made.batch] * 7, [], 5)
    judge = Judge.of_batches("validation", [made.batch])
    system, logs = SystemSettings(), LoggingSettings(progress=False)
    tuning = FamilyTuning(epochs=5, lr=0.1, freeze_scales_at=0.6)
    best = quantize_qat.fine_tune(
        made.qat, data, judge, tmp_path, tuning, training=recipe, system=system, logs=logs, seed=3, info={"a": 1}
    )
    slowed = asked["training"]
    assert (slowed.epochs, slowed.ema_decay, slowed.norm_samples) == (5, None, None)
    assert slowed.warmup_epochs == pytest.approx(0.5)
    assert (slowed.schedule, slowed.weight_decay, slowed.ssm_weight_decay) == ("cosine", 0.0, 0.0)
    assert (slowed.ssm_base_lr, slowed.lr_factor, slowed.lr) == (
        pytest.approx((0.002, 5.0, None)) if name == "two rates" else (None, None, pytest.approx(0.002))
    )
    assert slowed.batch_size == recipe.batch_size
    assert (asked["seed"], asked["info"], asked["mode"]) == (3, {"a": 1}, True)
    assert asked["data"].judge == "validation"
    assert made.qat.freeze_scales_after == 21  # three fifths of five epochs of seven batches
    assert best == {"epoch": 2, "kl": 0.5}
    assert (made.qat.model.readout.linear.weight == 1.0).all()
    assert not made.qat.training
    assert not (tmp_path / "teacher").exists()


def test_the_rate_goes_by_the_narrowest_weights(build, build_spiking):
    tuning = FamilyTuning()
    assert [tuning.rate(bits) for bits in (2, 4, 8, 12)] == pytest.approx([10**-0.5, 0.1, 0.01, 0.01])
    assert FamilyTuning(lr=0.3).rate(4) == 0.3
    assert build().qat.least_bits() == build_spiking().qat.least_bits() == 8
    assert build(widths={"gate": 4}).qat.least_bits() == 4
    assert build_spiking(widths={"synapses": 2}).qat.least_bits() == 2
    loihi = {"arithmetic": "loihi", "layers": {"readout": {"synapses": 5}}}
    assert build_spiking({"cell": "lif"}, kind="counts", **loihi).qat.least_bits() == 5


def test_settings_fall_back_on_the_family_and_then_on_the_default():
    tuning = FineTuning(hidden="rates", families={"adlif": {"epochs": 7, "loss": "kl", "hidden": None}})
    assert tuning.of("adlif") == FamilyTuning(epochs=7, loss="kl", hidden="rates")
    assert tuning.of("s5") == FamilyTuning(hidden="rates")
