"""The packaged settings of spiking state-space models: they build, and the recipes that they name exist."""

import pytest
from pumice.api.data import load_data
from pumice.api.models import build_model
from pumice.api.presets import preset, preset_names
from pumice.train.settings import TrainingSettings, read_section

MODELS = [name for name in preset_names("model") if name.startswith(("spikingssm/", "spikings5/"))]
TASKS = {
    "smnist": {"in_features": 1},
    "psmnist": {"in_features": 1},
    "scifar": {"in_features": 1},
    "speech-commands-raw": {"in_features": 1},
    "dvs-gesture-rows": {"in_features": 64},
    "listops": {"vocab": 16},
    "imdb": {"vocab": 257},
    "pathfinder": {"in_features": 1},
    "aan": {"vocab": 257},
}


@pytest.mark.parametrize("name", MODELS)
def test_models_build_and_name_a_recipe(name):
    settings = preset("model", name)
    inputs = {"vocab": 5} if name.startswith("spikings5/") else {"in_features": 2}
    model = build_model(settings, num_classes=3, **inputs)
    assert settings["name"] == name.replace("/", "-")
    assert model.config.d_model == settings["d_model"]
    recipe = read_section(TrainingSettings, {"training": preset("training", settings["recipe"])}, "training")
    assert recipe.epochs >= 6


def test_the_small_model_has_the_parameters_that_its_file_says():
    model = build_model("spikingssm/smnist", num_classes=10, in_features=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_154


@pytest.mark.parametrize("name", TASKS)
def test_tasks_say_what_a_model_reads(name):
    assert load_data(name).model_inputs == TASKS[name]
