"""The command line as a user meets it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pumice.cli.main import main
from pumice.cli.overrides import with_recipe, with_shorter_warmup


@pytest.fixture
def pumice(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def finished(small_upto):
    """A finished run; copy it before changing it."""
    return small_upto("train", "evaluate")


@pytest.fixture
def run_dir(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_one_sentence(text):
    return text.startswith("pumice: ") and text.count("\n") == 1 and "Traceback" not in text


def test_help_needs_neither_torch_nor_hydra():
    code = (
        "import sys\nfrom pumice.cli.main import main\ntry:\n    main(['--help'])\n"
        "finally:\n    assert not {'torch', 'hydra'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pumice <verb>" in done.stdout


@pytest.mark.parametrize("verb", ["run", "train", "evaluate", "data build", "data show"])
def test_help_of_every_verb(pumice, verb, tmp_path):
    code, out, _ = pumice(*verb.split(), "--help")
    assert code == 0
    assert out.startswith(f"pumice {verb}: ")
    assert "Groups (group=option" in out or verb == "data build"
    assert "spoken-digits" in out
    assert not list(tmp_path.iterdir())


def test_cfg_job_shows_and_does_nothing(pumice, tmp_path):
    code, out, _ = pumice("run", "--cfg", "job", "seed=3", "model=s5/shd-medium", "training.epochs=7")
    assert code == 0
    assert "seed: 3" in out
    assert "d_model: 96" in out
    assert "epochs: 7" in out
    assert not list(tmp_path.iterdir())


def test_layers_get_widths_of_their_own_as_the_docs_say(pumice):
    code, out, _ = pumice("quantize", "--cfg", "job", "quantize.layers={cells.0: {synapses: 4}, readout: {decoder: 9}}")
    assert code == 0
    assert "    cells.0:\n      synapses: 4\n" in out
    assert "      decoder: 9\n" in out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["fly"], "unknown verb 'fly'; use one of: run, train,"),
        (["trian"], "unknown verb 'trian'; did you mean train?"),
        (["train", "modl=s5/tiny"], "no setting 'modl'; did you mean model?"),
        (["train", "epochs=1"], "no setting 'epochs'; did you mean training.epochs or"),
        (["train", "model=tiny"], "there is no model=tiny; use s5/tiny or adlif/tiny or"),
        (["train", "run_dir="], "run_dir is empty"),
        (["train", "run_dir=null"], "run_dir is empty"),
        (["train", "-sc", "install=bash"], "pumice completion bash"),
        (
            ["train", "task=event-folder", "task.sensor=[8]", "task.root=~/nöwhere (old), b"],
            "nöwhere (old), b is no folder",
        ),
        (["data"], "'data' needs an action"),
        (["data", "fly"], "'data' needs an action"),
        (["train", "model.wings=2"], "no setting 'model.wings'"),
        (["train", "+model.wings=2"], "wings"),
        (["train", "+training.wings=2"], "training.wings"),
        (["train", "task=flying"], "there is no task=flying; use aan or asl-dvs or"),
        (["train", "model=s5/flying"], "there is no model=s5/flying; use "),
        (["train", "training.epochs=many"], "training.epochs"),
        (["train", "model.d_model=wide"], "d_model"),
        (["train", "model.family=rnn"], "model.family=rnn"),
        (["train", "task.select_on=luck"], "task.select_on=luck"),
        (["train", "seed=-1"], "seed=-1"),
        (["train", "seed=x"], "seed=x"),
        (["train", "redo=[fly]"], "redo=fly"),
        (["train", "training.epochs=[1"], "input"),
        (["train", "run_dir=${nowhere}"], "nowhere"),
        (["train", "--config-dir", "nowhere"], "nowhere"),
        (["train", "task.root=nowhere"], "does not exist"),
        (["train", "--experimental-rerun=x.pickle"], "pickle"),
        (["data", "show", "-m", "seed=1,2"], "data show"),
        (["evaluate", "run_dir=nowhere"], "weights.safetensors"),
        (["evaluate"], "weights.safetensors"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(pumice, tmp_path, arguments, part):
    code, _, err = pumice(*arguments)
    assert code == 2
    assert part in err
    assert is_one_sentence(err), err
    if arguments != ["train", "task.root=nowhere"]:  # the data are read by the stage itself
        assert not list(tmp_path.iterdir())


def test_a_run_folder_holds_everything(finished):
    present = {str(path) for path in contents(finished)}
    assert {
        "config.yaml",
        "overrides.yaml",
        "metrics.json",
        "predictions.npz",
        "weights.safetensors",
        "stages/train.json",
        "stages/evaluate.json",
        "logs/csv/version_0/metrics.csv",
    } <= present
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["evaluate"]["test"]["samples"] == 40
    assert metrics["train"]["selected_on"] == "validation"
    record = json.loads((finished / "stages/train.json").read_text())
    assert record["status"] == "finished"
    assert set(record["settings"]) == {"task", "model", "training", "seed"}
    assert "torch" in record["versions"]


def test_finished_stages_are_not_repeated(pumice, run_dir):
    before = contents(run_dir)
    for verb in ("train", "evaluate"):
        code, out, _ = pumice(verb, "run_dir=run")  # the settings come from the folder
        assert code == 0
        assert f"{verb}: finished earlier" in out
    after = contents(run_dir)
    log = after.pop(Path("run.log"))
    assert log.startswith(before.pop(Path("run.log")))
    assert log.count(b": finished earlier") == 2
    assert after == before


def test_evaluate_on_an_earlier_folder_and_redo(pumice, run_dir):
    before = contents(run_dir)
    code, out, _ = pumice("evaluate", "run_dir=run", "redo=[evaluate]")
    assert code == 0
    assert "95 % interval" in out
    after = contents(run_dir)
    changed = {str(path) for path in after if after[path] != before[path]}
    assert changed <= {"stages/evaluate.json", "predictions.npz", "run.log"}


def test_redo_of_training_gives_the_same_weights(pumice, run_dir):
    before = contents(run_dir)
    code, out, _ = pumice("train", "run_dir=run", "redo=train")
    assert code == 0
    assert "finished earlier" not in out
    assert (run_dir / "weights.safetensors").read_bytes() == before[Path("weights.safetensors")]
    assert not (run_dir / "stages/evaluate.json").exists()  # what came from the old weights is stale


@pytest.mark.parametrize(
    ("override", "key"),
    [("training.epochs=3", "training.epochs"), ("model.d_model=16", "model.d_model"), ("seed=1", "seed")],
)
@pytest.mark.parametrize("verb", ["train", "evaluate", "run"])
def test_other_settings_are_refused(pumice, run_dir, verb, override, key):
    before = contents(run_dir)
    code, _, err = pumice(verb, "run_dir=run", override)
    assert code == 2
    assert f"{key}=" in err
    assert "redo=[train]" in err
    assert is_one_sentence(err)
    assert contents(run_dir) == before


def test_damaged_outputs_are_refused(pumice, run_dir):
    weights = run_dir / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    code, _, err = pumice("train", "run_dir=run")
    assert code == 2
    assert "weights.safetensors is not what 'train' wrote" in err
    code, _, err = pumice("evaluate", "run_dir=run")
    assert code == 2
    assert "weights.safetensors is not what 'train' wrote" in err


def test_lost_outputs_are_written_anew(pumice, run_dir):
    (run_dir / "predictions.npz").unlink()
    code, out, _ = pumice("evaluate", "run_dir=run")
    assert code == 0
    assert "finished earlier" not in out
    assert (run_dir / "predictions.npz").exists()


def test_damaged_overrides_are_refused(pumice, run_dir):
    (run_dir / "overrides.yaml").write_text("overrides: [")
    code, _, err = pumice("evaluate", "run_dir=run")
    assert code == 2
    assert "overrides.yaml is damaged" in err


def test_one_process_at_a_time(pumice, run_dir):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\nfrom pumice.stages.folder import open_run_folder\n"
            "with open_run_folder(sys.argv[1], {}):\n    print('locked', flush=True)\n    time.sleep(600)",
            str(run_dir),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline() == b"locked\n"
        code, _, err = pumice("evaluate", "run_dir=run")
        assert code == 2
        assert "another process works in run" in err
    finally:
        holder.kill()
        holder.wait()
    code, _, _ = pumice("evaluate", "run_dir=run")  # the lock went with its holder
    assert code == 0


def test_multirun_has_a_folder_for_every_job(pumice, small_run, tmp_path):
    code, _, err = pumice("train", "-m", *small_run, "run_dir=sweep", "seed=0,1", "training.epochs=1")
    assert code == 0, err
    jobs = sorted(path.parent for path in tmp_path.glob("sweep/*/weights.safetensors"))
    assert len(jobs) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"sweep"}
    seeds = [json.loads((job / "stages/train.json").read_text())["settings"]["seed"] for job in jobs]
    assert sorted(seeds) == [0, 1]
    code, out, _ = pumice("evaluate", f"run_dir={jobs[0].relative_to(tmp_path)}")
    assert code == 0
    assert "95 % interval" in out


def test_user_configurations(pumice, small_run, tmp_path):
    (tmp_path / "mine/training").mkdir(parents=True)
    (tmp_path / "mine/training/short.yaml").write_text(
        "epochs: 1\nwarmup_epochs: 0\nbatch_size: 20\nssm_base_lr: 1e-3\nlr_factor: 5\nweight_decay: 0.1\n"
    )
    overrides = [item for item in small_run if not item.startswith("training.")]
    code, _, err = pumice("train", "--config-dir", "mine", "training=short", *overrides, "run_dir=run")
    assert code == 0, err
    code, _, err = pumice("evaluate", "run_dir=run")  # finds the folder of configurations again
    assert code == 0, err


@pytest.mark.thorough
def test_interruption_says_how_to_go_on(small_run, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "pumice", "train", *small_run, "training.epochs=10000", f"run_dir={tmp_path / 'run'}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "epoch" in line and "validation" in line:
            break
    process.send_signal(2)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err == "pumice: interrupted; the same command continues where it stopped\n"


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (["model=spikingssm/smnist"], ["training=spikingssm-smnist"]),
        (["-m", "model=spikingssm/smnist", "seed=0,1"], ["training=spikingssm-smnist"]),
        (["model=spikingssm/smnist", "training=tutorial"], []),
        (["model=s5/tiny"], []),
        (["model=unknown"], []),
        ([], []),
    ],
)
def test_a_model_may_name_its_recipe(given, added):
    assert with_recipe(given) == [*given, *added]


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (["training.epochs=1"], ["training.warmup_epochs=0.1"]),  # 3 of 30 epochs in the recipe
        (["training.epochs=3"], []),
        (["training.epochs=1", "training.warmup_epochs=0.5"], []),
        (["training.epochs=1,2", "-m"], []),
        (["training=s5-smnist", "training.epochs=0"], ["training.warmup_epochs=0"]),
        (["training=flying", "training.epochs=1"], []),
    ],
)
def test_few_epochs_warm_up_for_the_same_share_of_them(given, added):
    assert with_shorter_warmup(given) == [*given, *added]
