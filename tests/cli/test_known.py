"""Settings by name: all that Hydra composes are known, and what was meant is found."""

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from pumice.cli.known import block, defaults, keys, nearest, options


def dotted(values, prefix=""):
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")


def test_every_setting_of_the_composed_configuration_is_known():
    with initialize_config_module("pumice.configs", version_base="1.3"):
        composed = OmegaConf.to_container(compose("config"), resolve=False)
    assert set(dotted(composed)) <= set(keys())
    assert {group: options(group) for group in defaults()}.keys() <= composed.keys()


@pytest.mark.parametrize("group", ["model", "task", "quantize"])
def test_options_are_the_files(group):
    from pumice.api.presets import preset_names

    assert list(options(group)) == preset_names(group)


def test_a_block_has_its_comments_and_ends_with_the_next():
    assert block("lava") == "lava:\n  samples: 2 # test samples of the bundle, the shortest ones\n"
    assert block("nothing") == ""


@pytest.mark.parametrize(
    ("word", "names", "found"),
    [
        ("tiny", ["s5/tiny", "adlif/tiny", "s5/medium"], ["s5/tiny", "adlif/tiny"]),
        ("trainig.epochs", ["training.epochs", "task.name"], ["training.epochs"]),
        ("zzz", ["training.epochs"], []),
    ],
)
def test_nearest(word, names, found):
    assert nearest(word, names) == found
