"""A comparison of backends in parts, as a user meets it: it says what one of the whole test set says."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.api import backends
from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.files import read_json
from pumice.stages.compared import divided

SHARES = ("run", "step", "reference")
BACKENDS = ["simulate.backends=[run,step,reference]", "simulate.samples.step=30", "simulate.samples.reference=7"]


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def quantized(small_upto):
    return small_upto("train", "evaluate", "quantize")


@pytest.fixture
def run_dir(quantized, tmp_path):
    shutil.copytree(quantized, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def settings(small_finished):
    return [item for item in small_finished.settings if not item.startswith("simulate.backends")] + BACKENDS


@pytest.fixture(scope="module")
def parts(quantized, settings, tmp_path_factory):
    """A run folder in which three parts were compared, and what was printed of each."""
    folder = tmp_path_factory.mktemp("parts") / "run"
    shutil.copytree(quantized, folder)
    for part in (2, 3, 1):
        assert call("shard", *settings, f"run_dir={folder}", f"shard={part}/3") == 0
    return folder


def test_parts_put_together_say_what_the_whole_says(parts, run_dir, settings, capsys):
    assert call("simulate", *settings, f"run_dir={run_dir}") == 0
    assert call("simulate", *settings, f"run_dir={parts}") == 0
    whole, found = (json.loads((folder / "simulate.json").read_text()) for folder in (run_dir, parts))
    assert (whole.pop("parts"), found.pop("parts")) == (1, 3)
    for result in (whole, found):
        for entry in result["backends"].values():
            del entry["seconds"], entry["events_per_s"]
    assert [found["backends"][name].pop("traced") for name in SHARES] == [12, 12, 4]
    assert [whole["backends"][name].pop("traced") for name in SHARES] == [4, 4, 4]
    values = {name: (found["backends"][name].pop("values"), whole["backends"][name].pop("values")) for name in SHARES}
    assert values["step"][0] > values["step"][1]
    assert values["reference"][0] == values["reference"][1]  # all in the first part
    assert list(found["backends"]) == list(whole["backends"])
    assert found == whole
    left, right = (np.load(folder / "simulate.npz") for folder in (run_dir, parts))
    assert set(left) == set(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])


def test_a_part_that_is_there_is_not_compared_again(parts, settings, monkeypatch, capsys):
    monkeypatch.setattr(backends, "run_frozen", None)
    before = (parts / "shards" / "2-of-3.safetensors").stat().st_mtime_ns
    assert call("shard", *settings, f"run_dir={parts}", "shard=2/3") == 0
    assert "part 2 of 3 was compared earlier" in capsys.readouterr().out
    assert (parts / "shards" / "2-of-3.safetensors").stat().st_mtime_ns == before
    assert "shard" not in (parts / "overrides.yaml").read_text()


def test_a_wrong_unit_in_a_part_is_told_at_its_place_in_the_test_set(run_dir, settings, monkeypatch, capsys):
    right = backends.simulator.run_stepwise

    def wrong(program, samples, *rest, **named):
        traces = right(program, samples, *rest, **named)
        if len(traces) > 1:  # not when it warms up
            traces[1].logits[3] += 1
        return traces

    monkeypatch.setattr(backends.simulator, "run_stepwise", wrong)
    for part, first in ((1, 0), (2, 20)):
        assert call("shard", *settings, f"run_dir={run_dir}", f"shard={part}/2") == 1
        error = capsys.readouterr().err
        assert f"step against run: first difference in sample {first + 1}, " in error
    assert call("simulate", *settings, f"run_dir={run_dir}") == 1
    assert "step against run: first difference in sample 1, " in capsys.readouterr().err
    assert read_json(run_dir / "simulate.json")["differing"] == 2


@pytest.mark.parametrize(
    ("shard", "sentence"),
    [
        ("null", "shard=None has to be a part and the number of parts, such as shard=1/4"),
        ("0/3", "shard=0/3 has to be"),
        ("4/3", "shard=4/3 has to be"),
        ("1/41", "shard=1/41 has more parts than the 40 test samples of backend run"),
        ("4/4", "shard=4/4: no backend but run gets any of the samples 30 to 39"),
    ],
)
def test_a_part_that_there_is_not_is_refused(run_dir, settings, shard, sentence, capsys):
    assert call("shard", *settings, f"run_dir={run_dir}", f"shard={shard}") == 2
    assert sentence in capsys.readouterr().err
    assert not (run_dir / "shards").exists()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda folder: (folder / "2-of-3.safetensors").unlink(), "shard=2/3' makes one of 1"),
        (lambda folder: (folder / "2-of-3.safetensors").write_bytes(b"x" * 90), "2-of-3.safetensors cannot be read"),
        (
            lambda folder: shutil.copy(folder / "1-of-3.safetensors", folder / "2-of-3.safetensors"),
            "was made of another program or part",
        ),
        (
            lambda folder: shutil.copy(folder / "1-of-3.safetensors", folder / "1-of-4.safetensors"),
            "holds parts of 3 and 4",
        ),
    ],
)
def test_what_is_no_whole_is_not_put_together(parts, settings, tmp_path, harm, sentence, capsys):
    folder = tmp_path / "run"
    shutil.copytree(parts, folder)
    harm(folder / "shards")
    assert call("simulate", *settings, f"run_dir={folder}", "redo=[simulate]") == 2
    assert sentence in capsys.readouterr().err


def test_parts_of_other_settings_are_refused(parts, settings, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(parts, folder)
    assert call("shard", *settings, f"run_dir={folder}", "shard=1/3", "simulate.traced=2") == 2
    assert "was made with simulate.traced=4 but simulate.traced=2 is asked for" in capsys.readouterr().err


@given(
    st.integers(1, 40), st.sets(st.integers(0, 39), min_size=1), st.integers(1, 6), st.sampled_from(["step", "lava"])
)
def test_parts_hold_every_sample_of_every_backend_once(count, few, parts, other):
    shares = {"run": list(range(count)), "step": list(range(count)), other: sorted({i % count for i in few})}
    by = "lava" if other == "lava" else "run"
    if parts > len(shares[by]):
        with pytest.raises(PumiceError, match=f"more parts than the {len(shares[by])} test samples of backend {by}"):
            divided(shares, 1, parts)
        return
    if other == "step":
        shares["reference"] = shares["run"]  # nobody is alone
    found = [divided(shares, part, parts) for part in range(1, parts + 1)]
    for name, numbers in shares.items():
        assert [number for part in found for number in part.get(name, [])] == numbers
    for part in found:
        assert next(iter(part)) == "run"
        assert all(set(numbers) <= set(part["run"]) for numbers in part.values())
    sizes = [len(part[by]) for part in found]
    assert max(sizes) - min(sizes) <= 1
