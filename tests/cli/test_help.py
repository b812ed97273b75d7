"""Help of a verb: its own settings, as its stage reads them, and nothing of others."""

import subprocess
import sys

import pytest
import yaml
from pumice.cli.help import verb_help
from pumice.cli.verbs import VERBS, find_verb
from pumice.stages.table import STAGES


def shown(*arguments):
    verb, rest = find_verb(list(arguments))
    return verb_help(verb, rest, 100)


@pytest.mark.parametrize(
    "stage", [stage for stage in STAGES if not stage.target and stage.sections], ids=lambda s: s.name
)
def test_a_stage_shows_the_sections_that_it_reads(stage):
    text = shown(stage.name)
    settings = yaml.safe_load(text.partition("a.b=value):\n")[2].partition("All settings")[0])
    assert set(settings) == {section.split(".")[0] for section in stage.sections} | {"run_dir", "redo"}


def test_defaults_are_those_of_the_chosen_options():
    text = shown("train", "model=adlif/tiny", "training=adlif-spoken-digits")
    settings = yaml.safe_load(text.partition("a.b=value):\n")[2].partition("All settings")[0])
    assert settings["model"]["family"] == "adlif"
    assert "# adlif/tiny" in text


def test_an_option_of_ones_own(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text("family: s5 # as is\nname: mine\n")
    for flags in (["--config-dir", str(tmp_path)], [f"--config-dir={tmp_path}"]):
        assert "  family: s5 # as is\n  name: mine" in shown("train", *flags, "model=mine")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.config_name], ids=lambda verb: verb.name)
def test_lines_keep_to_the_width_of_the_list(verb):
    text = verb_help(verb, [], 80)
    listed = text.partition("Groups (")[2].partition("\n\nSettings")[0]
    assert all(len(line) <= 80 for line in listed.splitlines())


def test_run_names_the_settings_of_its_stages_in_60_lines():
    text = shown("run")
    assert all(f"  {stage.name} " in text for stage in STAGES if stage.sections)
    assert len(text.splitlines()) < 60


@pytest.mark.parametrize("given", [["seed=3"], ["task.pairing=next"], ["hydra.verbose=true"]])
def test_settings_beside_help_are_no_groups(given):
    assert "task: # spoken-digits\n" in verb_help(find_verb(["train"])[0], given, 120)


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m pumice export --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("pumice export: ")
