"""An S5 that reads images step by step, from files to the same integers everywhere."""

import json

import pytest
from pumice.cli.main import main

pytestmark = pytest.mark.thorough

SMALL = [
    "model.d_model=8",
    "model.d_ssm=8",
    "model.layers_per_stage=1",
    "training.epochs=3",
    "training.batch_size=10",
    "training.ssm_base_lr=1e-3",
    "quantize.qat.epochs=1",
    "simulate.backends=[reference,twin,run,step,c]",
    "export.step_samples=1",
    "lava.samples=1",
    "logging.tensorboard=false",
    "logging.progress=false",
]


def test_the_whole_chain(mnist_files, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["run", "task=smnist", "model=s5/smnist", f"task.root={mnist_files}", f"run_dir={folder}", *SMALL])
    assert ended.value.code == 0
    assert "differing values: 0" in (folder / "run.log").read_text()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["train"]["training_samples"] == 90
    assert metrics["evaluate"]["test"]["samples"] == 20
    assert metrics["evaluate"]["test"]["accuracy"] > 0.9
    found = json.loads((folder / "simulate.json").read_text())
    assert found["differing"] == 0
    assert found["events"] == 20 * 784
    heard = {side: found["early"][side][-1] for side in ("integer", "float")}
    assert heard == {
        side: found["accuracy"][name]["correct"] for side, name in (("integer", "run"), ("float", "float"))
    }
    record = json.loads((folder / "stages" / "train.json").read_text())
    assert record["settings"]["training"]["batch_size"] == 10
    assert record["settings"]["model"]["recipe"] == "s5-smnist"
