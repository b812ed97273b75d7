"""`pumice export target=c`, and C as a backend of `pumice simulate`, as a user meets them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pumice
import pytest
from pruned import pruned
from pumice.cli.main import main
from pumice.errors import BackendUnavailable
from pumice.export import c as c_package
from pumice.export.c import Generated, backend, build, find_compiler
from pumice.hw_sim.report.write import write_report
from pumice.program import load, save
from pumice.stages import export_c

REASON = "this machine has no C compiler; install gcc or clang, or name one in the variable CC"
WITH_C = "simulate.backends=[run,step,c]"


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def exported(small_upto):
    return small_upto("train", "evaluate", "quantize", "export-c")


@pytest.fixture
def run_dir(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def compiler():
    try:
        return find_compiler()
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def no_compiler(monkeypatch):
    def missing(*_, **__):
        raise BackendUnavailable(REASON)

    monkeypatch.setattr(backend, "Built", missing)
    monkeypatch.setattr(export_c, "run_known", missing)


def figures_of(run_dir):
    return json.loads((run_dir / "stages" / "export-c.json").read_text())["figures"]


def test_the_folder_and_its_figures(exported, compiler):
    figures = figures_of(exported)
    generated = Generated(load(exported / "program.npz"))
    assert figures["constants_bytes"] == generated.constant_bytes > 1000
    assert figures["state_bytes"] == generated.state_bytes > 100
    assert figures["known_answers"] == "0 of 40 logits differ from those of the program (0 is right)"
    files = {path.name for path in (exported / "c").iterdir()}
    assert files == {"pumice.c", "pumice.h", "main.c", "known.c", "Makefile", "README.md"}


def test_settings_reach_the_files(run_dir, compiler, tmp_path, capsys):
    settings = ["redo=[export-c]", "c.name=digits", "c.pack=true", "c.samples=1", "c.events=7"]
    assert call("export", "target=c", f"run_dir={run_dir}", *settings) == 0
    assert "compiled here: 0 of 20 logits differ" in capsys.readouterr().out
    assert {path.name for path in (run_dir / "c").iterdir()} >= {"digits.c", "digits.h"}
    assert not (run_dir / "c" / "pumice.c").exists()
    assert figures_of(run_dir)["events"] == 7
    source = (run_dir / "c" / "known.c").read_text()
    assert re.search(r"lengths\[\] = \{\n +7,\n\}", source)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("c.name=1x", "c.name='1x' is no name for C"),
        ("c.samples=0", "c.samples=0 has to be at least 1"),
        ("c.events=0", "c.events=0 has to be at least 1"),
    ],
)
def test_bad_settings_are_refused(run_dir, setting, told, capsys):
    before = (run_dir / "c" / "pumice.c").read_bytes()
    assert call("export", "target=c", f"run_dir={run_dir}", "redo=[export-c]", setting) == 2
    assert told in capsys.readouterr().err
    assert (run_dir / "c" / "pumice.c").read_bytes() == before


def test_wrong_answers_end_the_stage(run_dir, compiler, monkeypatch, capsys):
    def wrong(generated, folder, samples, logits):
        return c_package.write_c(generated, folder, samples, logits + 1)

    monkeypatch.setattr("pumice.api.export.write_c", wrong)
    assert call("export", "target=c", f"run_dir={run_dir}", "redo=[export-c]") == 1
    assert "40 of 40 logits differ" in capsys.readouterr().err


def test_c_is_a_backend(run_dir, compiler, capsys):
    assert call("simulate", WITH_C, f"run_dir={run_dir}", "redo=[simulate]") == 0
    result = json.loads((run_dir / "simulate.json").read_text())
    entry = result["backends"]["c"]
    assert (result["differing"], entry["differing"], result["skipped"]) == (0, 0, {})
    assert entry["samples"] == result["backends"]["run"]["samples"]
    assert entry["nodes"][0] == entry["nodes"][1]
    assert entry["states"][0] == entry["states"][1]
    assert entry["values"] > 10_000
    with np.load(run_dir / "simulate.npz") as arrays:
        np.testing.assert_array_equal(arrays["c"], arrays["run"])
    write_report(run_dir)
    page = (run_dir / "report.html").read_text()
    assert "<td>c</td>" in page


def test_without_a_compiler_both_say_so_and_go_on(no_compiler, run_dir, capsys):
    assert call("simulate", WITH_C, f"run_dir={run_dir}", "redo=[simulate]") == 0
    assert f"c SKIPPED: {REASON}" in capsys.readouterr().out
    assert json.loads((run_dir / "simulate.json").read_text())["skipped"] == {"c": REASON}
    assert call("export", "target=c", f"run_dir={run_dir}") == 0
    assert f"known answers SKIPPED: {REASON}" in capsys.readouterr().out
    assert figures_of(run_dir)["known_answers"] is None


def test_a_wrong_value_is_named(run_dir, compiler, monkeypatch, capsys):
    texts = build.sources

    def wrong(generated):
        files = texts(generated)
        name = f"{generated.name}.c"
        tail = files[name].rindex("logits[i] = (")
        files[name] = files[name][:tail] + files[name][tail:].replace("[i];", "[i] + (i == 1);", 1)
        return files

    monkeypatch.setattr(build, "sources", wrong)
    assert call("simulate", WITH_C, f"run_dir={run_dir}", "redo=[simulate]") == 1
    assert re.search(r"values differ between backends; c against run: first difference", capsys.readouterr().err)


def test_a_program_file_becomes_c_without_a_run_folder(run_dir, compiler, tmp_path, capsys):
    words = [f"program={run_dir / 'program.npz'}", "c.name=mine", f"out={tmp_path / 'mine'}"]
    assert call("export", "target=c", *words) == 0
    assert "make test" in capsys.readouterr().out
    assert c_package.run_known(tmp_path / "mine", "mine").startswith("0 of 40 logits differ")
    assert call("export", "target=c", *words) == 2
    assert "File exists" in capsys.readouterr().err


def test_zeros_stay_out_or_in_as_is_asked(run_dir, compiler, tmp_path, monkeypatch, capsys):
    """In a run folder, of a program file, and of a program at hand."""
    program = pruned(load(run_dir / "program.npz"), 0.9)
    save(program, tmp_path / "program.npz")
    monkeypatch.setattr(export_c, "load", lambda path: program)  # what quantize left there has no zeros
    flash = {flag: Generated(program, "pumice", sparse=flag).constant_bytes for flag in (False, True)}
    assert flash[True] < flash[False]
    for flag in (False, True):
        told = f"| flash, constants | {flash[flag]:,} |"
        out, at_hand = tmp_path / f"{flag}", tmp_path / f"{flag} at hand"
        setting = f"c.sparse={str(flag).lower()}"
        assert call("export", "target=c", f"program={tmp_path / 'program.npz'}", setting, f"out={out}") == 0
        pumice.export_c(program, at_hand, sparse=flag)
        assert told in (out / "README.md").read_text()
        assert told in (at_hand / "README.md").read_text()
        assert call("export", "target=c", f"run_dir={run_dir}", "redo=[export-c]", setting) == 0
        assert figures_of(run_dir)["constants_bytes"] == flash[flag]
        assert told in (run_dir / "c" / "README.md").read_text()


def test_the_makefile_measures(exported, compiler, tmp_path):
    if shutil.which("make") is None or compiler != ["cc"]:
        pytest.skip("make and cc are needed")
    folder = shutil.copytree(exported / "c", tmp_path / "c")
    done = subprocess.run(["make", "-s", "stack"], cwd=folder, capture_output=True, text=True, check=True)
    stack = max(int(line.split("\t")[1]) for line in done.stdout.splitlines())
    assert 0 < stack < 512
