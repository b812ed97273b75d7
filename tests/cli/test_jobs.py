"""Jobs of a multirun: whatever launches them, their mistakes are told and their folders are their own."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.cli.main import main
from pumice.cli.run import LONGEST_NAME, job_folder

LAUNCHER = """
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import run_job, setup_globals
from hydra.plugins.launcher import Launcher
from joblib import Parallel, delayed
from omegaconf import open_dict


class ApartLauncher(Launcher):
    def setup(self, *, hydra_context, task_function, config):
        self.given = hydra_context, task_function, config

    def launch(self, job_overrides, initial_job_idx):
        jobs = [(initial_job_idx + i, list(overrides)) for i, overrides in enumerate(job_overrides)]
        state = Singleton.get_state()
        return Parallel(n_jobs=2, backend="loky")(delayed(run)(*self.given, state, *job) for job in jobs)


def run(context, task, config, state, number, overrides):
    setup_globals()
    Singleton.set_state(state)
    job = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(job):
        job.hydra.job.id = job.hydra.job.num = number
    HydraConfig.instance().set_config(job)
    return run_job(task, job, "hydra.sweep.dir", "hydra.sweep.subdir", context)


node = {"_target_": "hydra_plugins.apart.ApartLauncher"}
ConfigStore.instance().store(group="hydra/launcher", name="apart", node=node)
"""
SWEEPER = """
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


class MinimizingSweeper(Sweeper):
    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        jobs = self.launcher.launch([[*arguments, f"seed={seed}"] for seed in (0, 1)], 0)
        print("objectives", [float(job.return_value) for job in jobs])


ConfigStore.instance().store(
    group="hydra/sweeper", name="minimizing", node={"_target_": "hydra_plugins.minimizing.MinimizingSweeper"}
)
"""


@pytest.fixture
def plugins(tmp_path):
    """A folder with a launcher of processes, and a sweeper that wants numbers."""
    pytest.importorskip("joblib")
    folder = tmp_path / "plugins/hydra_plugins"
    folder.mkdir(parents=True)
    (folder / "apart.py").write_text(LAUNCHER)
    (folder / "minimizing.py").write_text(SWEEPER)
    return str(folder.parent)


@pytest.fixture
def pumice_with_plugins(tmp_path, start, plugins):
    """Run the command in a process that finds them: (exit code, all that it printed, errors)."""

    def call(*arguments):
        run = start(*arguments, cwd=tmp_path, path=(plugins,))
        code, output = run.ended()
        return code, output, run.errors

    return call


@pytest.mark.thorough
def test_mistakes_of_jobs_are_told(pumice_with_plugins):
    code, _, errors = pumice_with_plugins("train", "-m", "seed=0,1", "training.epochs=0")
    assert (code, errors) == (2, "pumice: training.epochs=0 has to be at least 1 (and 1 more jobs failed)\n")


@pytest.mark.thorough
def test_jobs_in_processes_of_their_own_train_and_tell_their_mistakes(plugins, small_run, tmp_path):
    """Two train, two cannot. In an interpreter of its own, which ends its workers with itself."""
    script = f"import sys; sys.path.append({plugins!r}); from pumice.cli.main import main; main(sys.argv[1:])"
    jobs = ["hydra/launcher=apart", "seed=0,1", "training.epochs=1,0", "run_dir=sweep"]
    command = [sys.executable, "-c", script, "train", "-m", *small_run, *jobs]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr == "pumice: training.epochs=0 has to be at least 1 (and 1 more jobs failed)\n"
    trained = [path.parent for path in (tmp_path / "sweep").glob("*/weights.safetensors")]
    settings = [json.loads((folder / "stages/train.json").read_text())["settings"] for folder in trained]
    assert sorted((each["seed"], each["training"]["epochs"]) for each in settings) == [(0, 1), (1, 1)]
    assert len({(folder / "weights.safetensors").read_bytes() for folder in trained}) == 2


@pytest.mark.thorough
def test_sweepers_get_the_validation_accuracy(pumice_with_plugins, small_run, tmp_path):
    arguments = ["-m", "hydra/sweeper=minimizing", "run_dir=sweep", *small_run, "training.epochs=1"]
    for verb in ("train", "evaluate"):
        code, output, _ = pumice_with_plugins(verb, *arguments)
        assert code == 0, output
    records = sorted((tmp_path / "sweep").glob("*/stages/evaluate.json"))
    accuracies = [json.loads(record.read_text())["figures"]["validation"]["accuracy"] for record in records]
    assert f"objectives {accuracies}" in output


def test_a_sweeper_that_gets_a_mistake_does_not_hide_it(pumice_with_plugins):
    code, _, errors = pumice_with_plugins("train", "-m", "hydra/sweeper=minimizing", "training.epochs=0")
    assert code == 2
    assert errors.startswith("pumice: training.epochs=0 has to be at least 1")


SETTINGS = st.text("ab-_./='é ", min_size=1, max_size=300)


@given(SETTINGS, SETTINGS)
def test_folders_of_jobs_are_unique_names(one, other):
    names = job_folder(one), job_folder(other)
    assert (names[0] == names[1]) == (one == other)
    assert all("/" not in name and len(name.encode()) < 255 for name in names)


def test_long_settings_that_differ_at_their_end_have_folders_of_their_own(small_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    long = "task.name=" + ",".join("x" * LONGEST_NAME + end for end in "ab")
    with pytest.raises(SystemExit) as ended:
        main(["train", "-m", *small_run, "training.epochs=1", "run_dir=sweep", long])
    assert ended.value.code == 0, capsys.readouterr().err
    assert len(list((tmp_path / "sweep").glob("*/weights.safetensors"))) == 2


def test_nobody_is_advised_to_replace_the_results_of_another_multirun(small_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for epochs, code in ((1, 0), (2, 2)):
        with pytest.raises(SystemExit) as ended:
            main(["train", "-m", *small_run, f"training.epochs={epochs}", "seed=0,1"])
        assert ended.value.code == code
    error = capsys.readouterr().err
    assert "training.epochs=1 but training.epochs=2 is asked for; choose another run_dir" in error
    assert "redo" not in error
