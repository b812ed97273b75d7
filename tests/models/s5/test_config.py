"""Configuration files, parameter counts, limits, seeds."""

import math
from pathlib import Path

import pumice.configs
import pytest
import torch
from omegaconf import OmegaConf
from pumice.errors import PumiceError
from pumice.models.s5.build import build_s5
from pumice.models.s5.config import S5Config

GROUP = Path(pumice.configs.__file__).parent / "model" / "s5"
PUBLISHED = {
    "shd-medium": (700, 20, 423_956),
    "ssc-medium": (700, 35, 598_115),
    "ssc-small": (700, 35, 122_915),
    "dvs-small": (32_768, 11, 5_433_739),
    "tutorial-tiny": (700, 20, 19_892),
}


def settings_of(name):
    return OmegaConf.to_container(OmegaConf.load(GROUP / f"{name}.yaml"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(name):
    vocab, num_classes, expected = PUBLISHED[name]
    model = build_s5(settings_of(name), num_classes=num_classes, vocab=vocab, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize("path", sorted(GROUP.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_names_itself(path):
    settings = settings_of(path.stem)
    assert settings["family"] == "s5"
    assert settings["name"] == f"s5-{path.stem}"
    S5Config.from_mapping(settings, num_classes=2, vocab=10)


def test_initial_weights_depend_on_the_seed_alone():
    settings = settings_of("tiny")
    torch.manual_seed(1)
    one = build_s5(settings, num_classes=20, vocab=700, seed=3).state_dict()
    torch.manual_seed(2)
    two = build_s5(settings, num_classes=20, vocab=700, seed=3).state_dict()
    other = build_s5(settings, num_classes=20, vocab=700, seed=4).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["embedding.weight"], other["embedding.weight"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vocab": None}, "exactly one of vocab and in_features"),
        ({"in_features": 3}, "exactly one of vocab and in_features"),
        ({"pooling": "max"}, "pooling=max is unknown"),
        ({"d_ssm": 12}, "d_ssm=12 is not a multiple of block_size=8"),
        ({"block_size": 3, "d_ssm": 12}, "block_size=3 is odd"),
        ({"dt_min": 0.2}, "0 < dt_min <= dt_max"),
        ({"dropout": 1.0}, r"outside \[0, 1\)"),
        ({"dropout": "much"}, "not a number"),
        ({"stride": 0}, "stride=0 must be an integer of at least 1"),
        ({"stages": 2.5}, "stages=2.5 must be an integer"),
        ({"conj_sym": "yes"}, "not a truth value"),
        ({"step_rescale": 0}, "step_rescale=0"),
        ({"depth": 3}, "no setting 'depth'"),
        ({"num_classes": None}, "needs num_classes"),
    ],
)
def test_values_outside_their_limits_are_refused(changes, words):
    with pytest.raises(PumiceError, match=words):
        S5Config.from_mapping({"num_classes": 5, "vocab": 10}, **changes)


def test_initial_values_follow_the_recipe():
    config = S5Config(num_classes=20, vocab=700, d_model=96, d_ssm=128, conj_sym=False, stages=1, layers_per_stage=1)
    settings = {name: getattr(config, name) for name in S5Config.__dataclass_fields__}
    del settings["num_classes"]
    model = build_s5(settings, num_classes=20, seed=0)
    ssm = model.stages[0].layers[0].ssm
    deviation = {name: value.detach().double().std().item() for name, value in model.named_parameters()}
    assert deviation["embedding.weight"] == pytest.approx(96**-0.5, rel=0.02)
    assert torch.view_as_complex(ssm.B.detach()).abs().square().mean().sqrt() == pytest.approx(128**-0.5, rel=0.02)
    assert deviation["stages.0.layers.0.ssm.C"] == pytest.approx((96 * 128) ** -0.5, rel=0.02)
    assert deviation["decoder.weight"] == pytest.approx(96**-0.5, rel=0.05)
    assert torch.equal(ssm.Lambda_re.detach(), torch.full((128,), -0.5))
    step = ssm.log_step.detach().exp()
    assert step.min() >= config.dt_min * (1 - 1e-6)
    assert step.max() <= config.dt_max * (1 + 1e-6)
    low, high = math.log(config.dt_min), math.log(config.dt_max)  # uniform between the logarithms
    places = (ssm.log_step.detach().double() - low) / (high - low)
    assert places.mean().item() == pytest.approx(0.5, abs=0.1)
    assert places.std().item() == pytest.approx(12**-0.5, abs=0.05)


def test_models_of_the_second_version_have_half_the_modes_and_few_rows():
    """Embedding, encoder of stages and head by hand; conjugate pairs are stored once."""
    for name, d_model, modes, width in (("dvs-small-v2", 32, 64, 64), ("dvs-medium", 128, 32, 256)):
        model = build_s5(settings_of(name), num_classes=11, vocab=32_768, seed=0)
        shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        assert shapes["embedding.weight"] == (32_768, d_model)
        assert shapes["stages.0.layers.0.ssm.Lambda_re"] == (modes,)
        assert shapes["stages.1.layers.0.ssm.Lambda_re"] == (2 * modes,)
        assert shapes["decoder.weight"] == (11, width)
