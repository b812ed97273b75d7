"""``pumice search``: the points of its Pareto set are what their settings give, and nothing that was tried is lost."""

from __future__ import annotations

import csv
import fcntl
import json
import shutil
import sys

import pytest
import yaml
from pumice.api.bench import Bench
from pumice.cli.main import main
from pumice.files import read_json
from pumice.stages import study
from pumice.stages.study import JOURNAL

WORDS = ["search.weights=[3,5]", "search.constants=[]", "search.samples=20", "search.counted=1", "search.trials=12"]
WORDS += ["search.most_divergence=0.02"]


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def copied(source, place):
    shutil.copytree(source, place / "run")
    return place / "run"


@pytest.fixture(scope="module")
def searched(small_looked, tmp_path_factory):
    folder = copied(small_looked, tmp_path_factory.mktemp("searched"))
    assert call("search", f"run_dir={folder}", *WORDS) == 0
    return folder


@pytest.fixture(scope="module")
def found(searched):
    return read_json(searched / "search.json")


@pytest.mark.thorough
def test_it_has_tried_what_it_was_to_try(found):
    assert found["trials"] == 12
    assert found["judge"] == "validation"
    assert found["objectives"] == ["divergence", "bytes"]
    names = [entry["name"] for entry in found["tried"]]
    assert len(names) == len(set(names))
    assert found["base"]["parameter_bits"] == max(entry["bytes"] for entry in found["tried"]) * 8


@pytest.mark.thorough
def test_no_point_of_the_front_is_dominated(found):
    costs = {entry["name"]: (entry["kl"], entry["bytes"]) for entry in found["tried"]}
    front = [entry["name"] for entry in found["front"]]
    for name, own in costs.items():
        better = [other for other in costs.values() if other != own and other[0] <= own[0] and other[1] <= own[1]]
        assert (name in front) == (not better) or any(costs[twin] == own for twin in front)
    sizes = [entry["costs"]["bytes"] for entry in found["front"]]
    assert sizes == sorted(sizes)
    assert len(front) > 2


@pytest.mark.thorough
def test_the_chosen_point_is_the_cheapest_that_differs_little(found):
    for entry in found["front"]:
        if entry["figures"]["kl"] <= 0.02:
            assert entry["name"] == found["chosen"]
            break
    else:
        assert found["chosen"] is None


@pytest.mark.thorough
def test_a_point_is_the_program_that_its_settings_give(searched, found, tmp_path):
    """By its file of settings, with the calibration by which it was judged and without fine-tuning."""
    point = found["front"][0]
    assert point["changes"]
    given = yaml.safe_load((searched / "search" / "quantize" / f"{point['name']}.yaml").read_text())
    assert given["name"] == point["name"]
    run = yaml.safe_load((searched / "config.yaml").read_text())["quantize"]
    changed = {"name", "layers", "widths"}
    assert {key: given[key] for key in run.keys() - changed} == {key: run[key] for key in run.keys() - changed}
    folder = copied(searched, tmp_path)
    fixed = ["quantize.qat.epochs=0", "quantize.calibration.samples=20"]
    fixed += [f"quantize.calibration.method={point['figures']['method']}", "quantize.name=w8a8"]
    words = [f"quantize={point['name']}", "--config-dir", folder / "search"]
    assert call("quantize", f"run_dir={folder}", *words, *fixed) == 0
    assert read_json(folder / "metrics.json")["quantize"]["program_digest"] == point["figures"]["program"]
    assert (folder / "search.json").exists()  # which does not go with the program
    for place, bits in point["widths"].items():
        layer, _, width = place.rpartition(".")
        assert (given["layers"].get(layer, {}).get(width, given["widths"][width])) == bits


@pytest.mark.thorough
def test_interrupted_it_goes_on_with_what_it_had(small_looked, tmp_path, monkeypatch):
    folder = copied(small_looked, tmp_path)
    words = [f"run_dir={folder}", *WORDS, "search.weights=[3]", "search.trials=30"]
    measure, measured = Bench.measure, []

    def interrupted(bench, settings):
        measured.append(json.dumps(settings, sort_keys=True))
        if len(measured) == 7:
            raise KeyboardInterrupt
        return measure(bench, settings)

    monkeypatch.setattr(Bench, "measure", interrupted)
    assert call("search", *words) == 130
    with (folder / "search" / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 5, "half a li')  # as a killed process leaves it
    assert call("search", *words) == 0
    assert measured[6] in measured[7:]  # what was interrupted is tried, behind what waited already
    assert len(set(measured)) == len(measured) - 1  # and nothing else twice
    assert read_json(folder / "search.json")["trials"] == 30


@pytest.mark.thorough
def test_more_trials_continue_a_finished_search(searched, found, tmp_path, monkeypatch):
    folder = copied(searched, tmp_path)
    measure, count = Bench.measure, []
    monkeypatch.setattr(Bench, "measure", lambda *given: count.append(1) or measure(*given))
    assert call("search", f"run_dir={folder}") == 0
    assert not count
    assert read_json(folder / "search.json") == found
    assert call("search", f"run_dir={folder}", "search.trials=14") == 0
    assert read_json(folder / "search.json")["trials"] == 14
    assert len(count) <= 2


@pytest.mark.thorough
def test_limits_bind_what_is_kept(searched, small_looked, found, tmp_path):
    folder, sizes = copied(small_looked, tmp_path), sorted({entry["bytes"] for entry in found["tried"]})
    limit = sizes[len(sizes) // 2]
    assert call("search", f"run_dir={folder}", *WORDS, f"search.limits.bytes={limit}") == 0
    limited = read_json(folder / "search.json")
    assert limited["limits"] == {"bytes": limit}
    assert all(entry["costs"]["bytes"] <= limit for entry in limited["front"])
    assert any(entry["bytes"] > limit for entry in limited["tried"])


@pytest.mark.thorough
def test_a_chip_binds_what_is_kept(small_looked, tmp_path):
    """As `pumice check` would say of each program that is kept."""
    folder = copied(small_looked, tmp_path)
    chip = ["search.chip=stm32-like", "search.chip_limits={weight_bits: 5}"]
    assert call("search", f"run_dir={folder}", *WORDS, *chip) == 0
    found = read_json(folder / "search.json")
    assert found["front"]
    for entry in found["front"]:
        assert max(bits for place, bits in entry["widths"].items()) <= 5
        assert entry["figures"]["breaches"] == 0
    assert any(not entry["within"] for entry in found["tried"])


@pytest.mark.thorough
def test_others_may_search_in_the_folder_but_not_work_in_it(searched, tmp_path, capsys):
    folder = copied(searched, tmp_path)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert call("search", f"run_dir={folder}") == 0
        assert call("report", f"run_dir={folder}") == 2
        assert "another process works in" in capsys.readouterr().err
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert call("search", f"run_dir={folder}") == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["search.objectives=[bytes,divergence]"],
            "has to be one of divergence, agreement, accuracy",
        ),
        (["search.objectives=[divergence]"], "has to be one of divergence"),
        (["search.objectives=[accuracy,bytes,bytes]"], "names a cost twice"),
        (["search.sampler=grid"], "search.sampler=grid is unknown; use one of tpe, nsga2"),
        (["search.methods=[percentile]"], "search.methods: percentile is unknown"),
        (["search.trials=0"], "search.trials=0 has to be at least 1"),
        (["search.minutes=-1"], "search.minutes=-1"),
        (["search.most_divergence=-1"], "search.most_divergence=-1"),
        (["++search.limits.bits=3"], "search.limits: bits is unknown"),
        (["search.chip=loihi9"], "there is no chip 'loihi9'"),
        (["search.chip_limits={flash_bytes: 5}"], "name it by search.chip"),
        (["search.weights=[]", "search.constants=[]"], "there is nothing to choose"),
    ],
)
def test_refusals(small_looked, tmp_path, capsys, words, told):
    folder = copied(small_looked, tmp_path)
    assert call("search", f"run_dir={folder}", *words) == 2
    assert told in capsys.readouterr().err
    assert not (folder / "search.json").exists()


def test_it_needs_the_sensitivity_and_says_how_to_get_it(small_upto, tmp_path, capsys):
    folder = copied(small_upto("train"), tmp_path)
    assert call("search", f"run_dir={folder}") == 2
    assert "run 'pumice sensitivity' there first" in capsys.readouterr().err


def test_the_extra_is_named_where_it_is_missing(small_looked, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert call("search", f"run_dir={copied(small_looked, tmp_path)}") == 2
    assert "pip install 'pumice[search]'" in capsys.readouterr().err


@pytest.mark.thorough
def test_strange_journals_are_refused(searched, tmp_path, capsys, monkeypatch):
    folder = copied(searched, tmp_path)
    journal = folder / "search" / JOURNAL
    lines = journal.read_bytes()
    for strange in (b'{"op_code": 99}\n', b"[1, 2]\n", b"nonsense\nmore\n", lines.replace(b'"kl":', b'"kk":')):
        journal.write_bytes(strange)
        assert call("search", f"run_dir={folder}") == 2
        assert "do the stage anew with redo=[search]" in capsys.readouterr().err
    journal.write_bytes(lines)
    monkeypatch.setattr(study, "MOST_JOURNAL", 100)
    assert call("search", f"run_dir={folder}") == 2
    assert "is larger than" in capsys.readouterr().err


@pytest.mark.thorough
def test_other_widths_are_another_search(searched, tmp_path, capsys):
    folder = copied(searched, tmp_path)
    assert call("search", f"run_dir={folder}", "search.weights=[2]") == 2
    assert "was made with search.weights=[3, 5]" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_processes_share_one_journal(small_looked, tmp_path, sampler):
    folder = copied(small_looked, tmp_path)
    assert call("search", f"run_dir={folder}", *WORDS, "system.jobs=2", f"search.sampler={sampler}") == 0
    assert read_json(folder / "search.json")["trials"] == 12


@pytest.mark.thorough
def test_the_report_shows_the_front(searched, found, tmp_path, check_page):
    folder = copied(searched, tmp_path)
    assert call("report", f"run_dir={folder}") == 0
    text = (folder / "report.html").read_text()
    check_page(text)
    assert all(entry["name"] in text for entry in found["front"])
    with (folder / "report" / "search.csv").open() as file:
        rows = {row["point"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {entry["name"] for entry in found["front"]}
    for entry in found["front"]:
        row, figures = rows[entry["name"]], entry["figures"]
        assert float(row["bytes"]) == figures["parameter_bits"] / 8
        assert float(row["correct"]) == figures["correct"] / figures["decisions"]
        assert float(row["same_class"]) == figures["same_class"] / figures["decisions"]
