"""What fine-tuning makes of the float model's recipe, and which weights it ends with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from pumice.quantize import qat as quantize_qat
from pumice.quantize.config import FamilyTuning
from pumice.train.settings import LoggingSettings, SystemSettings, TrainingSettings
from pumice.train.weights import save_weights
from torch import nn

RECIPES = {
    "two rates": {"ssm_base_lr": 0.02, "lr_factor": 5.0},
    "one rate": {"lr": 0.02},
    "plateau": {"lr": 0.02, "schedule": "plateau", "warmup_epochs": 0},
}


class Twin(nn.Module):
    """What fine-tuning asks of a QAT model."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.freeze_scales_after = None


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_is_slowed_and_the_best_epoch_is_kept(name, tmp_path, monkeypatch):
    asked = {}

    def fit(model, data, folder, *, training, **others):
        asked.update(training=training, **others, mode=model.training, data=data)
        with torch.no_grad():
            model.weight.fill_(1.0)  # the best epoch's
            save_weights(tmp_path / "best.safetensors", model, {})
            model.weight.fill_(2.0)  # the last one's
        return SimpleNamespace(best_path=tmp_path / "best.safetensors", best={"epoch": 2, "loss": 0.5})

    monkeypatch.setattr(quantize_qat, "fit", fit)
    recipe = TrainingSettings(
        **{"epochs": 40, "warmup_epochs": 4, "batch_size": 8, "weight_decay": 0.1, "ema_decay": 0.99} | RECIPES[name]
    )
    data = SimpleNamespace(train_dataloader=lambda: range(7))
    twin, system = Twin(), SystemSettings()
    tuning = FamilyTuning(epochs=5, lr=0.1, freeze_scales_at=0.6)
    logs = LoggingSettings()
    best = quantize_qat.fine_tune(
        twin, data, tmp_path, tuning, training=recipe, system=system, logs=logs, seed=3, info={"a": 1}
    )
    slowed = asked["training"]
    assert (slowed.epochs, slowed.ema_decay) == (5, None)
    assert slowed.warmup_epochs == pytest.approx(0 if name == "plateau" else 0.5)
    assert (slowed.ssm_base_lr, slowed.lr_factor, slowed.lr) == (
        pytest.approx((0.002, 5.0, None)) if name == "two rates" else (None, None, pytest.approx(0.002))
    )
    for kept in ("batch_size", "weight_decay", "schedule"):
        assert getattr(slowed, kept) == getattr(recipe, kept)
    assert (asked["seed"], asked["info"], asked["data"], asked["mode"]) == (3, {"a": 1}, data, True)
    assert twin.freeze_scales_after == 21  # three fifths of five epochs of seven batches
    assert best == {"epoch": 2, "loss": 0.5}
    assert (twin.weight == 1.0).all()
    assert not twin.training
