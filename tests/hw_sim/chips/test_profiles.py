"""Profiles: the published numbers, and what is refused."""

import pytest
import yaml
from pumice.api.chips import chip_names, chip_profile
from pumice.errors import PumiceError

PUBLISHED = {
    ("loihi1", "weight_bits"): 8,
    ("loihi1", "state_bits"): 24,
    ("loihi1", "decay_bits"): 12,
    ("loihi1", "bias_bits"): 13,
    ("loihi1", "cores"): 128,
    ("loihi1", "neurons_per_core"): 1024,
    ("loihi1", "chip_bytes"): 34_603_008,
    ("loihi2", "weight_bits"): 8,
    ("loihi2", "state_bits"): 24,
    ("loihi2", "neurons_per_core"): 8192,
    ("loihi2", "synapses"): 120_000_000,
    ("loihi2", "core_bytes"): 196_608,
    ("spinnaker2", "cores"): 152,
    ("spinnaker2", "core_bytes"): 131_072,
    ("xylo-a2", "inputs"): 16,
    ("xylo-a2", "hidden_neurons"): 1000,
    ("xylo-a2", "outputs"): 8,
    ("xylo-a2", "fan_out"): 64,
    ("xylo-a3", "hidden_neurons"): 992,
    ("xylo-a3", "outputs"): 32,
    ("xylo-a3", "fan_out"): 1024,
    ("speck", "layers"): 9,
    ("speck", "synapses"): 1024 * (3 * 16 + 2 * 32 + 2 * 64 + 2 * 16),
    ("speck", "neurons"): 1024 * (3 * 64 + 2 * 32 + 4 * 16),
    ("akida", "weight_bits"): 8,
    ("akida", "chip_bytes"): 8 << 20,
    ("crossbar", "decays_per_layer"): 1,
}


@pytest.mark.parametrize(("chip", "limit"), PUBLISHED)
def test_published_numbers(chip, limit):
    assert chip_profile(chip).value(limit) == PUBLISHED[chip, limit]


@pytest.mark.parametrize("chip", chip_names())
def test_every_limit_has_a_source_and_a_kind(chip):
    profile = chip_profile(chip)
    assert profile.name == chip
    for limit in profile.limits.values():
        assert len(limit.source) > 10
        assert limit.kind in ("published", "code", "assumed")


def test_a_file_of_ones_own_and_single_limits(tmp_path):
    feature = {"has": [], "source": "my datasheet", "kind": "published"}
    limit = {"value": 4, "unit": "bit", "source": "my datasheet", "kind": "published"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "features": feature, "limits": {"weight_bits": limit}}))
    profile = chip_profile(str(path), {"ram_bytes": 512})
    assert (profile.value("weight_bits"), profile.value("ram_bytes"), profile.value("flash_bytes")) == (4, 512, None)
    assert profile.limits["ram_bytes"].kind == "given"


GOOD = {
    "name": "x",
    "features": {"has": [], "source": "s", "kind": "code"},
    "limits": {"cores": {"value": 1, "unit": "cores", "source": "s", "kind": "code"}},
}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"name": ""}, "needs a name"),
        ({"colour": "red"}, "a chip has name, features and limits"),
        ({"features": {"has": ["wings"], "source": "s", "kind": "code"}}, "the feature 'wings' is unknown"),
        ({"features": {"has": "wings", "source": "s", "kind": "code"}}, "the feature 'wings' is unknown"),
        ({"features": {"has": [], "source": " ", "kind": "code"}}, "has no source"),
        ({"features": {"has": []}}, "features are has, source and kind"),
        ({"limits": []}, "limits by name"),
        ({"limits": {"wings": {}}}, "limit wings is unknown"),
        ({"limits": {"cores": {"value": 1}}}, "needs value, unit, source, kind"),
        ({"limits": {"cores": GOOD["limits"]["cores"] | {"value": 0}}}, "give a whole number above 0"),
        ({"limits": {"cores": GOOD["limits"]["cores"] | {"value": True}}}, "give a whole number above 0"),
        ({"limits": {"cores": GOOD["limits"]["cores"] | {"unit": "pJ"}}}, "its unit is cores"),
        ({"limits": {"cores": GOOD["limits"]["cores"] | {"kind": "rumour"}}}, "kind 'rumour' is unknown"),
    ],
)
def test_what_is_no_profile_is_refused(change, part):
    assert chip_profile(GOOD).value("cores") == 1
    with pytest.raises(PumiceError, match="hardware: ") as told:
        chip_profile({**GOOD, **change})
    assert part in str(told.value)


def test_files_that_are_none(tmp_path):
    for name, text, part in (
        ("a.yaml", "[", "cannot be read"),
        ("b.yaml", "3", "holds no chip"),
        ("c.yaml", None, "exist"),
    ):
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(PumiceError, match=part):
            chip_profile(tmp_path / name)
    with pytest.raises(PumiceError, match="there is no chip 'loihi9'; choose one of akida"):
        chip_profile("loihi9")
