"""Settings are read and composed once, unless something may choose the mode of the run; what comes is Hydra's own."""

import pytest
from hydra import compose, initialize_config_module
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from pumice.cli import run
from pumice.cli.composing import may_choose_mode
from pumice.cli.main import main

MINE = "hydra:\n  mode: MULTIRUN\n"


@pytest.fixture
def modes(monkeypatch, tmp_path):
    """Call ``pumice train --dry-run``: (modes of its jobs, how often settings were composed in all)."""
    monkeypatch.chdir(tmp_path)
    found, composed = [], []
    compose = Hydra.compose_config

    def counted(*arguments, **options):
        composed.append(options["run_mode"])
        return compose(*arguments, **options)

    def planned(config, *names):
        found.append(HydraConfig.get().mode)

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["train", "--dry-run", *arguments])
        assert ended.value.code == 0
        return found, len(composed)

    monkeypatch.setattr(Hydra, "compose_config", counted)
    monkeypatch.setattr(run, "planned", planned)
    return call


def test_a_run_composes_its_settings_once(modes):
    asked = Hydra.get_mode
    assert modes("seed=3", "run_dir=run") == ([RunMode.RUN], 1)
    assert Hydra.get_mode is asked


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_multirun_stays_a_multirun(modes, flag):
    assert modes(flag, "seed=3,4")[0] == [RunMode.MULTIRUN] * 2


def test_a_mode_that_is_typed_holds(modes):
    assert modes("hydra.mode=MULTIRUN", "seed=3,4")[0] == [RunMode.MULTIRUN] * 2


def test_a_mode_of_foreign_settings_holds(modes, tmp_path):
    (tmp_path / "mine/task").mkdir(parents=True)
    (tmp_path / "mine/task/mine.yaml").write_text(
        f"# @package _global_\ndefaults: [spoken-digits@task, _self_]\n{MINE}"
    )
    assert modes("--config-dir", "mine", "task=mine", "seed=3,4")[0] == [RunMode.MULTIRUN] * 2
    assert modes("hydra.searchpath=[file://mine]", "task=mine", "seed=3,4")[0] == [RunMode.MULTIRUN] * 4


@pytest.mark.parametrize("flag", ["--config-dir=mine", "-cd=mine", "--config-path=mine", "--config-name=mine"])
def test_settings_that_are_not_pumices_may_choose(flag):
    assert may_choose_mode([flag, "seed=3"])
    assert may_choose_mode([*flag.split("="), "seed=3"])


@pytest.mark.parametrize("word", ["+hydra.mode=RUN", "hydra={mode: RUN}", "task@hydra=mine", "_global_.hydra.mode=RUN"])
def test_overrides_of_hydra_may_choose(word):
    assert may_choose_mode(["seed=3", word])


def test_others_do_not():
    assert not may_choose_mode(["--multirun", "seed=3,4", "task=mine", "--cfg", "job"])


def test_files_are_read_once_and_what_comes_of_them_is_what_hydra_composes(modes, monkeypatch):
    """Other settings in between change nothing that comes later."""
    found, opened, load = [], [], OmegaConf.load

    def counted(file):
        opened.append(file)
        return load(file)

    def planned(config, *names):
        plain = OmegaConf.to_container(config, resolve=False)
        found.append({name: value for name, value in plain.items() if name != "run_dir"})

    monkeypatch.setattr(OmegaConf, "load", counted)
    monkeypatch.setattr(run, "planned", planned)
    for words in (["seed=3"], ["model=adlif/tiny", "training.epochs=7", "export.opset=17"], ["seed=3"]):
        modes(*words)
    count = len(opened)
    modes("seed=4", "training.epochs=7")
    assert len(opened) == count
    monkeypatch.undo()
    for words, plain in zip((["seed=3"], ["seed=4", "training.epochs=7"]), found[2:], strict=True):
        with initialize_config_module("pumice.configs", version_base="1.3"):
            composed = OmegaConf.to_container(compose("config", overrides=words), resolve=False)
        assert {name: value for name, value in composed.items() if name != "run_dir"} == plain
