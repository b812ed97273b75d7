"""When a stage counts as finished: the same settings, the same inputs, the outputs that it wrote."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from pumice.errors import PumiceError
from pumice.records import record_path
from pumice.stages.folder import SINCE, RunFolder, file_digest, first_difference
from pumice.stages.run import _run_stage, _validation_accuracy, stages_to_redo
from pumice.stages.stage import Stage
from pumice.stages.table import ALL, ASIDE, STAGES, after, below

NAMES = [stage.name for stage in STAGES]
REPORTED = ("train", "quantize", "count")
HOW_FAR = {"search.trials", "search.minutes", "search.most_divergence"}
"""More of them continue what is there, and the choice among what was tried is made anew."""
OF_NO_RESULT = {"system", "logging", "redo", "run_dir", "shard", "target"}
"""Sections that say how a run is made and where: threads, workers, what is told."""


@pytest.fixture(scope="module")
def config(request):
    """The whole configuration as the command line composes it."""
    with initialize_config_dir(str(request.config.rootpath / "configs"), version_base=None):
        composed = compose("config")
    plain = OmegaConf.to_container(composed, resolve=True)
    plain["quantize"].setdefault("arithmetic", "pumice")  # as configurations of quantize=loihi name it
    return plain


def leaves(value: Any, key: tuple[str, ...] = ()):
    """The path of every single setting below ``value``."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*key, name))
    else:
        yield key


def changed(config, key):
    """``config`` with another value at ``key``."""
    other = copy.deepcopy(config)
    holder = other
    for name in key[:-1]:
        holder = holder[name]
    value = holder[key[-1]]
    holder[key[-1]] = not value if isinstance(value, bool) else "another value" if value != "another value" else "x"
    return other


def owner_of(key):
    """The first stage whose record holds this setting; None where no result depends on it."""
    dotted = ".".join(key)
    return next((s.name for s in ALL if any(f"{dotted}.".startswith(f"{part}.") for part in s.sections)), None)


def placed(folder: Path, stage: Stage) -> None:
    """Put something in the place of every file that the stage reads or writes."""
    for name in (*stage.needs, *stage.uses, *stage.writes):
        if not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{{}} {name}" if not name.endswith(".json") else "{}")


@pytest.fixture(params=ALL, ids=[stage.name for stage in ALL])
def stage(request):
    return request.param


@pytest.fixture
def finished(tmp_path, config, stage):
    """The folder of a run in which the stage has finished with the composed settings."""
    folder = RunFolder(tmp_path, config)
    (tmp_path / "metrics.json").write_text('{"an earlier stage": {"figure": 2}}')
    placed(tmp_path, stage)
    folder.begin(stage)
    folder.finish(stage, {"figure": 1}, 1.25)
    return folder


def test_every_setting_of_its_sections_is_in_the_record(finished, config, stage):
    """Whichever is changed: the stage does not count as made with these settings, and the setting is named."""
    finished.check_settings(stage)
    mine = [key for key in leaves(config) if any(f"{'.'.join(key)}.".startswith(f"{s}.") for s in stage.sections)]
    assert bool(mine) == bool(stage.sections)
    assert {key[0] for key in mine} == {section.split(".")[0] for section in stage.sections}
    for key in mine:
        with pytest.raises(PumiceError) as refused:
            RunFolder(finished.path, changed(config, key)).check_settings(stage)
        assert f"was made with {'.'.join(key)}=" in str(refused.value)
        assert f"redo=[{stage.name}]" in str(refused.value)


def test_no_setting_is_in_no_record(config):
    """What no stage keeps decides no result."""
    loose = {key for key in leaves(config) if owner_of(key) is None}
    assert {".".join(key) for key in loose if key[0] == "search"} == HOW_FAR
    assert {key[0] for key in loose} == OF_NO_RESULT | {"search"}


SEARCHED = {"objectives", "weights", "constants", "activations", "states", "methods", "ticks_ms", "limits", "sampler"}
SEARCHED |= {"samples", "judged", "counted", "chip", "chip_limits"}
EXPECTED = {
    "train": {"task", "model", "training", "seed"},
    "evaluate": {"task", "model"},
    "quantize": {"task", "model", "training", "quantize", "seed"},
    "simulate": {"task", "simulate"},
    "export-onnx": {"task", "model", "export"},
    "export-lava": {"task", "lava"},
    "export-netx": {"quantize.arithmetic"},
    "export-c": {"task", "c"},
    "export-nir": {"task", "model", "nir"},
    "export-qonnx": {"task", "qonnx"},
    "count": {"task", "hardware", "count"},
    "report": set(),
    "shard": {"task", "simulate"},
    "sensitivity": {"task", "model", "quantize", "sensitivity", "hardware", "seed"},
    "search": {"task", "model", "quantize", "hardware", "seed", *(f"search.{name}" for name in SEARCHED)},
}


def test_the_sections_of_every_stage():
    """A section that leaves this table needs a reason: the stage's results would no longer follow it."""
    assert {stage.name: set(stage.sections) for stage in ALL} == EXPECTED


def test_the_files_that_a_stage_reads():
    """What leaves this table needs a reason: the stage would stay finished though it changes."""
    weights, program = ("weights.safetensors",), ("program.npz",)
    assert {stage.name: stage.needs for stage in ALL if stage.needs} == {
        "evaluate": weights,
        "quantize": weights,
        "simulate": (*program, "quantized.safetensors", *weights),
        "export-onnx": (*program, *weights),
        "export-lava": program,
        "export-netx": program,
        "export-c": program,
        "count": program,
        "report": ("metrics.json",),
        "export-nir": weights,
        "export-qonnx": program,
        "shard": (*program, "quantized.safetensors", *weights),
        "sensitivity": weights,
        "search": (*weights, "sensitivity.json"),
    }
    assert {stage.name: stage.uses for stage in STAGES if stage.uses} == {"simulate": ("predictions.npz",)}


def test_it_is_finished_until_something_changes(finished, stage):
    assert finished.is_finished(stage)
    record = json.loads(record_path(finished.path, stage.name).read_text())
    files = {name: file_digest(finished.path / name) for name in (*stage.needs, *stage.uses)}
    assert record["inputs"] == files
    assert record["outputs"] == {name: file_digest(finished.path / name) for name in stage.writes}
    assert record["seconds"] == 1.25
    figures = json.loads((finished.path / "metrics.json").read_text())
    assert figures == {"an earlier stage": {"figure": 2}, stage.name: {"figure": 1}}


def test_a_changed_input_makes_it_unfinished(finished, stage):
    for name in (*stage.needs, *stage.uses):
        content = (finished.path / name).read_bytes()
        (finished.path / name).write_bytes(content + b" ")
        assert not finished.is_finished(stage), name
        (finished.path / name).write_bytes(content)
        assert finished.is_finished(stage)
    for name in stage.uses:
        (finished.path / name).unlink()
        assert not finished.is_finished(stage), name


def test_a_lost_output_makes_it_unfinished_and_a_changed_one_is_refused(finished, stage):
    for name in stage.writes:
        content = (finished.path / name).read_bytes()
        (finished.path / name).unlink()
        assert not finished.is_finished(stage), name
        (finished.path / name).write_bytes(content + b" ")
        with pytest.raises(PumiceError, match=f"is not what '{stage.name}' wrote there"):
            finished.is_finished(stage)
        (finished.path / name).write_bytes(content)
        assert finished.is_finished(stage)


def test_what_has_only_begun_is_not_finished(finished, stage):
    finished.begin(stage)
    assert all((finished.path / name).is_file() for name in stage.writes)
    assert not finished.is_finished(stage)
    assert json.loads(record_path(finished.path, stage.name).read_text())["outputs"] == {}


def test_other_inputs_drop_what_was_half_made_and_the_same_ones_keep_it(finished, stage):
    for name in stage.scratch:
        (finished.path / name).mkdir(exist_ok=True)
        (finished.path / name / "half").write_text("made")
    finished.begin(stage)
    finished.forget_if_inputs_changed(stage)
    assert all((finished.path / name).exists() for name in (*stage.writes, *stage.scratch))
    for name in (*stage.needs, *stage.uses)[:1]:
        (finished.path / name).write_text("another")
        finished.forget_if_inputs_changed(stage)
        assert not any((finished.path / name).exists() for name in (*stage.writes, *stage.scratch))
        assert not record_path(finished.path, stage.name).exists()


class Counting:
    """The module of a stage that writes its files and counts how often it was asked."""

    def __init__(self, stage):
        self.stage, self.asked = stage, 0

    def run(self, config, folder):
        self.asked += 1
        for name in self.stage.writes:
            (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
            (folder.path / name).write_text("{}")
        return {"asked": self.asked}


def test_a_stage_runs_once_for_each_state_of_its_inputs(tmp_path, config, stage, capsys):
    folder, module = RunFolder(tmp_path, config), Counting(stage)
    placed(tmp_path, stage)
    for name in stage.writes:
        (tmp_path / name).unlink(missing_ok=True)
    _run_stage(stage, module, folder)
    _run_stage(stage, module, folder)
    again = int(stage.shared)  # it looks itself whether there is more to do
    assert module.asked == 1 + again
    assert ("finished earlier" in capsys.readouterr().out) == (not again)
    if stage.needs:
        (tmp_path / stage.needs[0]).write_text('{"of": "another run"}')
        _run_stage(stage, module, folder)
        assert module.asked == 2 + again
        assert "finished earlier" not in capsys.readouterr().out
        (tmp_path / stage.needs[0]).unlink()
        with pytest.raises(PumiceError, match=rf"'{stage.name}' needs .*{stage.needs[0]}, which does not exist"):
            _run_stage(stage, module, folder)


OF_PROGRAMS = {"export-qonnx", "shard"}
READERS = {"train": {stage.name for stage in ASIDE}, "evaluate": OF_PROGRAMS, "quantize": OF_PROGRAMS}
"""What stands aside and reads what a stage, or one on the way from it, has written."""


def test_doing_a_stage_anew_does_all_after_it_anew():
    aside = {stage.name for stage in ASIDE}
    assert stages_to_redo([]) == set()
    assert stages_to_redo(["all"]) == {*NAMES, *aside}
    for index, name in enumerate(NAMES):
        found = stages_to_redo([name])
        assert found == stages_to_redo([NAMES[-1], name])
        assert found - aside == set(NAMES[index:])
        assert found & aside == READERS.get(name, set())


def test_what_stands_aside_takes_no_stage_of_a_run_with_it():
    """Neither done anew with the program that lies in the folder, nor held to its settings."""
    for index, stage in enumerate(ASIDE):
        assert stages_to_redo([stage.name]) <= {other.name for other in ASIDE[index:]}
        assert below(stage)[0].name == "train"
        way = {name for name, readers in READERS.items() if stage.name in readers}
        assert {other.name for other in below(stage)} <= way | {other.name for other in ASIDE[: index + 1]}
        assert after(stage)[0] == stage
    assert [stage.name for stage in below(STAGES[-1])] == NAMES


def test_every_file_that_a_stage_reads_is_written_by_an_earlier_one():
    """The report reads the figures that every stage adds to metrics.json."""
    written: set[str] = {"metrics.json"}
    for stage in STAGES:
        assert {*stage.needs, *stage.uses} <= written, stage.name
        assert not written & set(stage.writes)
        written |= set(stage.writes)


def test_the_first_difference_is_named_by_its_whole_key():
    there = {"b": {"x": 1, "y": [1, 2]}, "a": None}
    assert first_difference(there, copy.deepcopy(there)) is None
    assert first_difference(there, {**there, "b": {"x": 1, "y": [2, 1]}}) == ("b.y", [1, 2], [2, 1])
    assert first_difference(there, {**there, "b": {"x": 1}}) == ("b.y", [1, 2], None)
    assert first_difference(there, {**there, "c": 0}) == ("c", None, 0)
    assert first_difference(there, {**there, "a": {"x": 1}}) == ("a", None, {"x": 1})


def test_a_setting_that_came_later_was_there_as_its_table_says():
    """A folder without it is taken for one that does the same; any other value is a difference."""
    there = {"model": {"d_model": 8}, "nir": {"dt": 1e-4}}
    for name, before in SINCE.items():
        section, _, key = name.partition(".")
        assert first_difference(there, there | {section: there[section] | {key: before}}) is None
        assert first_difference(there, there | {section: there[section] | {key: "other"}}) == (name, before, "other")


@pytest.mark.parametrize("chosen", ["ptq", "qat"])
def test_sweepers_get_the_accuracy_of_the_model_that_was_kept(tmp_path, config, chosen):
    folder = RunFolder(tmp_path, config)
    train, quantize, count = (next(stage for stage in STAGES if stage.name == name) for name in REPORTED)
    values = {"float": 0.1, "ptq": 0.2, "qat": 0.3}
    figures = {name: {"validation": {"accuracy": value}} for name, value in values.items()}
    for stage, found in ((train, {"best": {"accuracy": 0.4}}), (quantize, {**figures, "chosen": chosen}), (count, {})):
        placed(tmp_path, stage)
        folder.begin(stage)
        folder.finish(stage, found, 1.0)
    assert _validation_accuracy(folder, [train]) == 0.4
    assert _validation_accuracy(folder, [train, quantize]) == values[chosen]
    assert _validation_accuracy(folder, [train, quantize, count]) == values[chosen]
    assert _validation_accuracy(folder, [count]) is None
