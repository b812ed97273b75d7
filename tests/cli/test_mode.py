"""Settings are composed once, unless something may choose the mode of Hydra's run; the mode is Hydra's own."""

import pytest
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pumice.cli import run
from pumice.cli.main import main
from pumice.cli.mode import may_choose_mode

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
