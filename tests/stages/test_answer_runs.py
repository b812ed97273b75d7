"""S5 that answers at every window, by the command: waves of electrocardiograms, and values of every step."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pumice.api.programs import load
from pumice.cli.main import main
from pumice.program import reference
from scipy.io import loadmat

SMALL = ["model.d_model=8", "model.d_ssm=8", "model.block_size=4", "model.dropout=0", "training.batch_size=8"]
SMALL += ["training.warmup_epochs=0.5", "training.ssm_base_lr=1e-3", "quantize.qat.epochs=1", "logging.progress=false"]
SMALL += ["quantize.max_dead_zone=1", "logging.tensorboard=false", "system.threads=1"]
SMALL += ["simulate.backends=[reference,twin,run,step,onnx]", "export.step_samples=3", "count.samples=3"]


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def values(small_set, tmp_path_factory):
    """The folder of a run on values of every step, up to the report."""
    folder = tmp_path_factory.mktemp("values") / "run"
    settings = ["task=denoise", f"task.root={small_set}", "task.group=100", "task.noise=0.1", "model=s5/denoise"]
    settings += ["training=s5-denoise", "training.epochs=4", *SMALL, f"run_dir={folder}"]
    for verb in ("train", "evaluate", "quantize", "simulate", "report"):
        assert call(verb, *settings) == 0
    return folder


def test_values_are_told_beside_those_of_the_float_model(values):
    metrics = json.loads((values / "metrics.json").read_text())
    simulated = json.loads((values / "simulate.json").read_text())
    program, arrays = load(values / "program.npz"), np.load(values / "predictions.npz")
    labels, numbers = arrays["test_labels"], arrays["test_recordings"]
    assert arrays["test_logits"].shape == labels.shape == (len(numbers), 7)
    error = float(((arrays["test_logits"].astype(float) - labels.astype(float)) ** 2).mean())
    assert metrics["evaluate"]["test"]["loss"] == pytest.approx(error)
    assert error < metrics["evaluate"]["test"]["loss_of_mean"]
    assert simulated["differing"] == 0
    with np.load(values / "simulate.npz") as found:
        scores = found["scores"]
    integer = float(((scores - labels.astype(float)) ** 2).mean())
    for name in ("reference", "twin", "run", "step", "onnx"):
        assert simulated["accuracy"][name]["loss"] == pytest.approx(integer)
    chosen = metrics["quantize"][metrics["quantize"]["chosen"]]["test"]
    assert chosen["loss"] == pytest.approx(integer)
    assert chosen["sqnr_db"] == simulated["float_and_integer"]["sqnr_db"] > 20
    assert {"relative_error", "sqnr_db"} < set(metrics["quantize"]["choice"]["candidates"][0])
    everything = json.dumps([metrics["evaluate"], metrics["quantize"], simulated["accuracy"]])
    assert not any(word in everything for word in ("confusion", "accuracy_95", "mcnemar", "same_class"))
    assert program.class_names[0] == "channels 0 to 99"


def test_the_report_tells_errors_and_no_classes(values, check_page):
    report = json.loads((values / "report.json").read_text())
    models = report["errors"]["models"]
    assert {"float", "ptq", "integer"} <= set(models)
    assert models["integer"]["sqnr_db"] > 20
    assert report["confusion"] is report["disagreements"] is report["early"] is None
    page = (values / "report.html").read_text()
    assert "SI-SNR" in page
    assert "Confusions" not in page
    check_page(page)


@pytest.mark.thorough
@pytest.mark.parametrize("stride", [1, 3])
def test_waves_are_named_step_by_step(small_ecg_run, tmp_path, stride):
    folder = tmp_path / "run"
    root = next(word for word in small_ecg_run if word.startswith("task.root="))
    settings = ["task=ecg", root, "task.validation.fraction=0.2", "model=s5/ecg", f"model.stride={stride}", *SMALL]
    assert call("run", *settings, "training=s5-ecg", "training.epochs=6", f"run_dir={folder}") == 0
    simulated = json.loads((folder / "simulate.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    assert simulated["differing"] == 0
    assert simulated["accuracy"]["run"]["samples"] == 20 * 40
    assert simulated["accuracy"]["run"]["accuracy"] > 0.3  # chance is 0.17
    assert metrics["export-onnx"]["sequence"]["differing"] == metrics["export-onnx"]["step"]["differing"] == 0
    program, right = load(folder / "program.npz"), 0
    content = loadmat(f"{root.removeprefix('task.root=')}/QTDB_test.mat")
    samples = [(x.astype(np.float64), 4000 * np.arange(40)) for x in content["x"]]
    for trace, y in zip(reference.run(program, samples), content["y"], strict=True):
        said = trace.series.argmax(1)[np.minimum(np.arange(40) // stride, 40 // stride - 1)]
        right += int((said == y.argmax(1)).sum())
    assert simulated["accuracy"]["run"]["correct"] == right
