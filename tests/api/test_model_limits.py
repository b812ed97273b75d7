"""What settings from a file may ask for: tensors are told before they are made, and compared with those of the file."""

from __future__ import annotations

import itertools
import json
import random

import pumice
import pytest
import torch
from pumice.api.data import load_data
from pumice.api.presets import settings_of
from pumice.quantize.families import FAMILIES, model_family
from pumice.train.weights import save_weights

S5 = {
    "norm": ("layer", "batch", "none"),
    "conj_sym": (True, False),
    "expansion": (1, 2),
    "stages": (1, 2),
    "layers_per_stage": (2,),
    "c_init": ("complex_normal",),
    "feedthrough": (True, False),
    "residual": (True, False),
}
SPIKING_SSM = {
    "layers": (1, 3),
    "norm": ("layer", "batch"),
    "norm_placement": ("pre", "reference"),
    "kernel": ("s4d-lin", "trainable-b"),
    "bidirectional": (True, False),
    "threshold": ("channel", "shared"),
    "learn_threshold": (True, False),
}
ADLIF = {
    "cell": ("lif", "ef-adlif", "se-adlif", "lstm"),
    "layers": (1, 3),
    "tau_u": ((5, 25), (5, 5)),
    "tau_out": ((15, 15), (10, 20)),
}
REAL_S5 = {
    "norm": ("layer", "batch", "none"),
    "expansion": (1, 2),
    "stages": (1, 2),
    "layers_per_stage": (1, 2),
    "head": ("pool", "attnpool"),
    "decay": ("independent", "shared"),
    "input_gate": (None, 0, 3),
    "feedthrough": (True, False),
    "residual": (True, False),
}
SPIKING_S5 = S5 | {"threshold": ("channel", "shared"), "c_init": ("lecun_normal",)}
BASE = {
    "s5": ({"family": "s5", "d_model": 6, "d_ssm": 8, "block_size": 4}, S5, ("vocab", "in_features")),
    "adlif": ({"family": "adlif", "hidden": 6}, ADLIF, ("in_features",)),
    "spikingssm": ({"family": "spikingssm", "d_model": 6, "d_state": 4}, SPIKING_SSM, ("vocab", "in_features")),
    "real-s5": ({"family": "real-s5", "d_model": 6, "d_ssm": 8}, REAL_S5, ("vocab", "in_features")),
    "spikings5": ({"family": "spikings5", "d_model": 6, "d_ssm": 8, "block_size": 4}, SPIKING_S5, ("vocab",)),
}
MOST = 256
"""Settings of a family that are tried."""


def test_every_family_tells_its_tensors():
    assert {family.name for family in FAMILIES.values()} - {"loihi"} == set(BASE)


@pytest.mark.parametrize("name", BASE)
def test_the_tensors_told_are_those_made(name):
    """With initial values or without; and these draw nothing. Of thousands of settings some, which have all threes."""
    base, choices, inputs = BASE[name]
    family = model_family(name)
    every = list(itertools.product(*choices.values(), inputs))
    some = random.Random(0).sample(every, min(len(every), MOST))
    assert all(
        len({tuple(values[place] for place in places) for values in some})
        == len({tuple(values[place] for place in places) for values in every})
        for places in itertools.combinations(range(len(every[0])), 3)
    )
    for *values, width in some:
        settings = base | dict(zip(choices, values, strict=True))
        told = dict(family.shapes(settings, num_classes=5, **{width: 7}))
        before = torch.get_rng_state()
        for seed in (0, None):
            model = family.build(settings, num_classes=5, seed=seed, **{width: 7})
            assert {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()} == told
        if name != "real-s5":  # it draws in no time
            drawn = [value for part, value in model.named_parameters() if part.endswith(("weight_hh_l0", "ssm.B"))]
            assert not any(value.any() for value in drawn)
        assert torch.equal(before, torch.get_rng_state())


def without_initial_values(model, settings, sizes):
    """The same model, built without initial values, with the weights of ``model``."""
    other = model_family(settings["family"]).build(settings, seed=None, **sizes)
    other.load_state_dict(model.state_dict())
    return other


def test_a_model_without_initial_values_is_the_same_once_loaded(fresh):
    settings = settings_of("model", f"{fresh.family}/tiny", fresh.sizes)
    other = without_initial_values(fresh.model, settings, {"num_classes": 4, **fresh.inputs})
    assert repr(other) == repr(fresh.model)
    for (name, tensor), (_, expected) in zip(other.named_buffers(), fresh.model.named_buffers(), strict=True):
        assert torch.equal(tensor, expected), name


HUGE = {
    "wide": ("s5", {"d_model": 10**9}, "more than 128 MiB of weights"),
    "many modes": ("s5", {"d_ssm": 1 << 40, "block_size": 1 << 40}, "the limit is 2,048"),
    "more modes than initial values can have": ("s5", {"d_ssm": 1 << 15, "block_size": 1 << 15}, "the limit is 2,048"),
    "many stages": ("s5", {"stages": 10**18}, "has no tensor stages"),
    "growing stages": ("s5", {"stages": 10**18, "expansion": 10**9}, "the limit is 2,048"),
    "many layers of a stage": ("s5", {"layers_per_stage": 10**18}, "has no tensor stages"),
    "many cells": ("adlif", {"layers": 10**18}, "has no tensor cells"),
    "wider than the file": ("s5", {"d_model": 8}, "holds embedding.weight of shape (700, 4)"),
    "wide cells": ("adlif", {"hidden": 10**9}, "more than 128 MiB of weights"),
    "a wide LSTM": ("adlif", {"cell": "lstm", "hidden": 10**9}, "more than 128 MiB of weights"),
}
LOAD = """
import json, sys, time
import pumice

def peak():  # not ru_maxrss, which begins with what the process that started this one had
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) >> 10

for path in [sys.argv[1], *sys.argv[1:]]:  # the first one is loaded twice: what it imports is no memory of the file's
    before, began = peak(), time.process_time()
    try:
        pumice.load_model(path)
    except pumice.PumiceError as error:
        if path == sys.argv[1] and "warm" not in globals():
            warm = open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here on
            continue
        print(json.dumps([peak() - before, time.process_time() - began, str(error)]))
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory, start):
    """What loading a small file with huge settings takes, in MiB and seconds, and the sentence."""
    folder, paths = tmp_path_factory.mktemp("huge"), []
    for name, (family, changes, _) in HUGE.items():
        task = "spoken-digits" if family == "s5" else "spoken-digits-binned"
        data, small = load_data(task), {"d_model": 4, "d_ssm": 8, "block_size": 8} if family == "s5" else {"hidden": 4}
        model = pumice.build_model(f"{family}/tiny", num_classes=data.num_classes, **data.model_inputs, **small)
        info = {"model": settings_of("model", f"{family}/tiny", small | changes), "task": settings_of("task", task)}
        paths.append(folder / f"{name}.safetensors")
        save_weights(paths[-1], model, info)
    loading = start(*map(str, paths), code=LOAD)
    loading.ended()
    lines = loading.printed.splitlines()
    assert len(lines) == len(paths), loading.errors
    return dict(zip(HUGE, map(json.loads, lines), strict=True))


@pytest.mark.parametrize("name", HUGE)
def test_huge_settings_in_a_small_file_are_a_sentence(refused, name):
    peak, seconds, sentence = refused[name]
    assert HUGE[name][2] in sentence
    assert "\n" not in sentence
    assert peak < 64
    assert seconds < 5


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"d_model": 10**9}, "more than 128 MiB of weights .* embedding.weight"),
        ({"stages": 10**18}, "more than 128 MiB of weights or 16,384 tensors"),
        ({"d_ssm": 4096}, "d_ssm=4096 gives a layer of 4096 modes, the limit is 2,048"),
    ],
)
def test_a_model_whose_checkpoint_could_not_be_read_is_not_built(changes, match):
    with pytest.raises(pumice.PumiceError, match=match):
        pumice.build_model("s5/tiny", num_classes=20, vocab=700, **changes)


STRANGE = {
    "augmentation": ("task", {"augmentation": {"roll": 3}}),
    "a list of augmentations": ("task", {"augmentation": [1]}),
    "tick": ("task", {"tick_ms": [1]}),
    "sensor": ("task", {"sensor": [{}]}),
    "validation": ("task", {"validation": 3}),
    "family": ("model", {"family": ["s5"]}),
    "dropout": ("model", {"dropout": None}),
    "two lines": ("task", {"slice_events": "a\nb"}),
}


@pytest.mark.parametrize("name", STRANGE)
def test_settings_of_another_kind_in_a_file_are_a_sentence(tmp_path, name):
    section, changes = STRANGE[name]
    presets = {"model": "s5/tiny", "task": "spoken-digits"}
    info = {group: settings_of(group, preset) for group, preset in presets.items()}
    info[section] |= changes
    save_weights(tmp_path / "x.safetensors", torch.nn.Linear(1, 1), info)
    with pytest.raises(pumice.PumiceError) as refused:
        pumice.load_model(tmp_path / "x.safetensors")
    assert "\n" not in str(refused.value)
