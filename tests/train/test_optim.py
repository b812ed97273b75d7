import math

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.s5.build import build_s5
from pumice.train.optim import build_optimizer, warmup_cosine
from pumice.train.settings import LoggingSettings, SystemSettings, TrainingSettings, read_section

RECIPE = {
    "epochs": 30,
    "warmup_epochs": 3,
    "batch_size": 32,
    "accumulate": 2,
    "ssm_base_lr": 1.7e-5,
    "lr_factor": 10,
    "weight_decay": 0.03,
}


def test_groups_learning_rates_and_decay():
    model = build_s5({"d_model": 8, "d_ssm": 8}, num_classes=3, vocab=5, seed=0)
    optimizer = build_optimizer(model.named_parameters(), TrainingSettings(**RECIPE))
    ssm, main = optimizer.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    in_ssm = {names[id(parameter)] for parameter in ssm["params"]}
    assert in_ssm == {name for name in names.values() if name.endswith((".B", ".Lambda_re", ".Lambda_im"))}
    assert len(in_ssm) == 4 * 3
    assert {names[id(parameter)] for parameter in main["params"]} == set(names.values()) - in_ssm
    assert ssm["lr"] == pytest.approx(1.7e-5 * 32 * 2)
    assert main["lr"] == pytest.approx(1.7e-4 * 32 * 2)
    assert (ssm["weight_decay"], main["weight_decay"]) == (0.0, 0.03)
    assert ssm["betas"] == (0.9, 0.999)


def test_schedule_rises_linearly_and_falls_as_a_cosine():
    factor = warmup_cosine(warmup_steps=10, total_steps=110)
    assert [factor(step) for step in range(10)] == pytest.approx([(step + 1) / 10 for step in range(10)])
    for step in range(10, 111):
        assert factor(step) == pytest.approx((1 + math.cos(math.pi * (step - 10) / 100)) / 2)
    assert factor(110) == pytest.approx(0, abs=1e-12)
    assert warmup_cosine(0, 4)(0) == 1


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"epochs": "abc"}, "training.epochs"),
        ({"epochs": 2.5}, "training.epochs"),
        ({"epochs": 0}, "training.epochs=0"),
        ({"warmup_epochs": 31}, "training.warmup_epochs=31"),
        ({"ema_decay": 1.0}, "training.ema_decay=1.0"),
        ({"gradient_clip": -1.0}, "training.gradient_clip=-1.0"),
        ({"precision": "8"}, "training.precision=8"),
        ({"leraning_rate": 1}, "training.leraning_rate"),
    ],
)
def test_bad_settings_name_the_key(change, part):
    with pytest.raises(PumiceError, match=part):
        read_section(TrainingSettings, {"training": RECIPE | change}, "training")


def test_missing_setting_names_the_key():
    recipe = {key: value for key, value in RECIPE.items() if key != "lr_factor"}
    with pytest.raises(PumiceError, match=r"training\.lr_factor"):
        read_section(TrainingSettings, {"training": recipe}, "training")


def test_other_sections():
    assert read_section(SystemSettings, {"system": {"threads": 2}}, "system").threads == 2
    with pytest.raises(PumiceError, match=r"system\.accelerator=tpu"):
        read_section(SystemSettings, {"system": {"accelerator": "tpu"}}, "system")
    with pytest.raises(PumiceError, match=r"logging\.every_steps=0"):
        read_section(LoggingSettings, {"logging": {"every_steps": 0}}, "logging")


def test_optimizer_leaves_frozen_parameters_out():
    linear = torch.nn.Linear(2, 2)
    linear.bias.requires_grad_(False)
    optimizer = build_optimizer(linear.named_parameters(), TrainingSettings(**RECIPE))
    assert [len(group["params"]) for group in optimizer.param_groups] == [1]
