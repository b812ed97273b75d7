"""Configuration files of models with real decays, their sizes, and the port's recipe."""

from dataclasses import replace
from pathlib import Path

import pumice.configs
import pytest
import torch
from omegaconf import OmegaConf
from pumice.errors import PumiceError
from pumice.models.real_s5.build import build_real_s5
from pumice.train.module import task_loss
from pumice.train.settings import TrainingSettings, read_section

CONFIGS = Path(pumice.configs.__file__).parent
GROUP = CONFIGS / "model" / "real-s5"


def settings_of(path):
    return OmegaConf.to_container(OmegaConf.load(path))


@pytest.mark.parametrize("path", sorted(GROUP.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_builds_what_it_says(path):
    settings = settings_of(path)
    assert settings["family"] == "real-s5"
    assert settings["name"] == f"real-s5-{path.stem}"
    model = build_real_s5(settings, num_classes=20, vocab=700, seed=0)
    width, modes, count = settings["d_model"], settings["d_ssm"], settings["stages"] * settings["layers_per_stage"]
    rates = 1 if settings["decay"] == "shared" else modes
    layer = (
        2 * rates + 2 * modes * width + width + 2 * width + width * width + width
    )  # Lambda, step; B, C; D; norm; gate
    expected = 700 * width + count * layer + 20 * width + 20
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
    again = build_real_s5(settings, num_classes=20, vocab=700, seed=0)
    other = build_real_s5(settings, num_classes=20, vocab=700, seed=1)
    assert torch.equal(model.decoder.weight, again.decoder.weight)
    assert not torch.equal(model.decoder.weight, other.decoder.weight)
    assert all(torch.allclose(each.ssm.eigenvalues(), torch.tensor(-0.5)) for each in model.layers)


def test_the_recipe_of_the_port():
    recipe = settings_of(CONFIGS / "training" / "shd-medium-port.yaml")
    settings = read_section(TrainingSettings, {"training": recipe}, "training")
    assert (settings.epochs, settings.warmup_epochs, settings.lr_factor) == (180, 10, 8)
    assert (settings.label_smoothing, settings.gradient_clip, settings.ema_decay) == (0.05, 1.0, 0.999)
    for value in (-0.1, 1.0):
        with pytest.raises(PumiceError, match="label_smoothing"):
            replace(settings, label_smoothing=value)


def test_label_smoothing_gives_every_class_its_share():
    logits, targets = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.1, 3.0]]), torch.tensor([0, 1])
    soft = 0.94 * torch.nn.functional.one_hot(targets, 3) + 0.02  # 0.06 in all, a third each
    expected = -(soft * torch.log_softmax(logits, 1)).sum(1).mean()
    torch.testing.assert_close(task_loss(logits, targets, label_smoothing=0.06), expected)
    torch.testing.assert_close(task_loss(logits, targets), torch.nn.functional.cross_entropy(logits, targets))
