"""Jobs of a multirun share what agrees, and nothing else."""

import json
import shutil

import pytest
from pumice.cli.main import main
from pumice.stages.run import run_stages

CONFIG = {
    "task": {"name": "t"},
    "model": {"family": "s5"},
    "training": {"epochs": 1},
    "quantize": {"name": "w8a8"},
    "seed": 0,
    "system": {"devices": 1, "nodes": 1},
}


class Module:
    """A stage that writes its name and how often it has run."""

    def __init__(self, outputs):
        self.outputs, self.runs = outputs, []

    def check(self, config):
        pass

    def run(self, config, folder):
        self.runs.append(folder.path.name)
        for name in self.outputs:
            (folder.path / name).write_text(f"{name}, run {len(self.runs)}")
        return {"told": len(self.runs)}


@pytest.fixture
def work(tmp_path):
    """``work(job, **changes)`` runs train and quantize of a job; gives which stages have run where."""
    modules = {
        "train": Module(["weights.safetensors"]),
        "quantize": Module(["program.npz", "quantized.safetensors", "lowering.json"]),
    }

    def call(job, others=True, redo=(), stages=tuple(modules), **changes):
        config = {**CONFIG, **changes}
        run_stages(config, stages, tmp_path / job, redo, others=others, instead=modules)
        return {name: module.runs for name, module in modules.items()}

    return call


def record(tmp_path, job, stage):
    return json.loads((tmp_path / job / f"stages/{stage}.json").read_text())


def test_the_float_model_is_trained_once(work, tmp_path):
    work("a")
    assert work("b", quantize={"name": "w4a8"}) == {"train": ["a"], "quantize": ["a", "b"]}
    assert (tmp_path / "b/weights.safetensors").read_bytes() == (tmp_path / "a/weights.safetensors").read_bytes()
    first, second = record(tmp_path, "a", "train"), record(tmp_path, "b", "train")
    assert (first.pop("taken_from"), second.pop("taken_from")) == ("", "a")
    assert first.pop("finished_at") <= second.pop("finished_at")
    assert first == second
    assert json.loads((tmp_path / "b/metrics.json").read_text())["train"] == {"told": 1}
    assert work("b", quantize={"name": "w4a8"}) == {"train": ["a"], "quantize": ["a", "b"]}  # finished there as well


def test_other_settings_or_inputs_are_not_shared(work):
    work("a")
    assert work("b", seed=1)["train"] == ["a", "b"]
    work("c", others=False, stages=["train"])  # other weights by the same settings
    assert work("c") == {"train": ["a", "b", "c"], "quantize": ["a", "b", "c"]}


def test_what_is_asked_for_anew_is_done_anew(work):
    work("a")
    work("b")
    assert work("b", redo=["train"]) == {"train": ["a", "b"], "quantize": ["a", "b"]}


def test_a_run_by_itself_takes_nothing_from_its_neighbours(work):
    work("a")
    assert work("b", others=False)["train"] == ["a", "b"]


@pytest.mark.parametrize("damage", ["changed", "gone", "unfinished", "no record", "other versions", "a link"])
def test_what_is_not_in_order_is_passed_over(work, tmp_path, damage):
    work("a")
    weights, told = tmp_path / "a/weights.safetensors", tmp_path / "a/stages/train.json"
    if damage == "changed":
        weights.write_text("something else")
    elif damage == "gone":
        weights.unlink()
    elif damage == "no record":
        told.write_text("{")
    elif damage == "a link":
        shutil.move(weights, tmp_path / "elsewhere")
        weights.symlink_to(tmp_path / "elsewhere")
    else:
        change = {"status": "begun"} if damage == "unfinished" else {"versions": {"torch": "1.0"}}
        told.write_text(json.dumps(record(tmp_path, "a", "train") | change))
    assert work("b")["train"] == ["a", "b"]


def test_a_sweep_of_widths_trains_once(small_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["train", "-m", *small_run, "training.epochs=1", "quantize=w8a8,w4a8", "logging.progress=false"])
    assert ended.value.code == 0
    first, second = (tmp_path / f"runs/multirun/quantize-{name}" for name in ("w4a8", "w8a8"))
    assert (first / "weights.safetensors").read_bytes() == (second / "weights.safetensors").read_bytes()
    taken = {record(tmp_path / "runs/multirun", f"quantize-{name}", "train")["taken_from"] for name in ("w8a8", "w4a8")}
    assert taken == {"", "quantize-w8a8"}
    assert capsys.readouterr().out.replace("\n", " ").count("taken from runs/multirun/quantize-w8a8") == 1
