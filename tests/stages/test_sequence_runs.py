"""A network of spiking neurons from the float model to the report, by the command, on small ECG files."""

import json

import numpy as np
import pytest
import torch
from pumice.cli.main import main
from pumice.models.adlif.blocks import aggregate
from pumice.program import load, reference
from scipy.io import loadmat

QUICK = ["model.layers=1", "model.hidden=16", "model.surrogate_scale=0.4", "model.dropout=0", "training.epochs=12"]
QUICK += ["quantize.qat.epochs=1", "simulate.backends=[reference,twin,run,step,onnx,c]", "export.step_samples=3"]


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def finished(small_ecg_run, tmp_path_factory):
    """The folder of a whole run."""
    folder = tmp_path_factory.mktemp("clocked") / "run"
    assert call("run", *small_ecg_run, *QUICK, f"run_dir={folder}") == 0
    return folder


def test_activity_of_a_model_without_spikes_is_a_sentence(small_ecg_run, tmp_path, capsys):
    settings = [*small_ecg_run, "model.cell=lstm", "+training.activity=3", f"run_dir={tmp_path / 'run'}"]
    assert call("train", *settings) == 2
    sentence = "training.activity=3.0 limits how often neurons spike, and this model has none that do; leave it out"
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_every_stage_ran_and_nothing_differs(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert set(metrics) >= {"train", "evaluate", "quantize", "simulate", "export-onnx", "export-lava", "count"}
    result = json.loads((finished / "simulate.json").read_text())
    assert result["differing"] == 0
    assert {*result["backends"], *result["skipped"]} == {"reference", "twin", "run", "step", "onnx", "c"}
    assert result["early"] is None  # every step is a decision
    steps = 20 * 40
    for name, entry in result["backends"].items():
        assert entry["events"] == steps
        assert result["accuracy"][name]["samples"] == steps
        if name != "reference":
            assert entry["values"] >= 2 * 6 * steps // 2
            assert entry["states"] == [1, 1]
    assert 0.001 < result["spike_rates"]["cells/0"] < 0.5
    told = {split: metrics["evaluate"][split]["spike_rates"] for split in ("validation", "test")}
    assert told["validation"] != told["test"]
    assert told["test"] == {"cells.0": pytest.approx(result["spike_rates"]["cells/0"], rel=0.1)}
    assert result["accuracy"]["run"]["accuracy"] > 0.3  # chance is 0.17
    exported = metrics["export-onnx"]
    assert exported["sequence"]["differing"] == exported["step"]["differing"] == 0
    assert exported["sequence"]["values"] == 6 * (steps + 20)


def test_decisions_follow_from_the_series_of_the_program(finished):
    """An independent reading: potentials of the program, block means in numpy, against labels of the files."""
    program = load(finished / "program.npz")
    arrays = np.load(finished / "simulate.npz")
    config = json.loads((finished / "stages" / "train.json").read_text())["settings"]
    content = loadmat(f"{config['task']['root']}/QTDB_test.mat")
    samples = [(x.astype(np.float64), 4000 * np.arange(40)) for x in content["x"]]
    traces = reference.run(program, samples, trace=False)
    potentials = np.stack([trace.series for trace in traces]) * 2.0 ** -program[program.series].output.frac
    labels = content["y"].argmax(2)
    result = json.loads((finished / "simulate.json").read_text())
    assert result["accuracy"]["run"]["correct"] == int((potentials.argmax(2) == labels).sum())
    labelled = content["y"].any(2)
    masked = result["other_protocols"]["labelled steps"]
    assert masked["samples"] == int(labelled.sum())
    assert masked["correct"] == int(((potentials.argmax(2) == labels) & labelled).sum())
    np.testing.assert_allclose(arrays["scores"], potentials.reshape(-1, 6))
    np.testing.assert_array_equal(arrays["run"], [trace.logits for trace in traces])


def test_the_report_shows_what_the_stages_found(finished, check_page):
    text = (finished / "report.html").read_text()
    check_page(text)
    assert "Not run:" not in text
    data, result, counted = (
        json.loads((finished / name).read_text()) for name in ("report.json", "simulate.json", "counts.json")
    )
    assert result["example"]["label"] is None  # every step has a label of its own
    assert data["clocked"]
    assert data["spike_rates"]["layers"] == {"layer 0": result["spike_rates"]["cells/0"]}
    assert data["protocols"][0]["integer"]["correct"] == result["other_protocols"]["labelled steps"]["correct"]
    sums = {row["what"]: row["neurobench"] for row in data["neurobench"]}
    assert sums["effective_acs"] == counted["neurobench"]["Effective_ACs"] > 0
    assert sums["effective_macs"] == 0  # the input is -1, 0 or 1
    assert sums["dense"] == 40 * (16 * 4 + 16 * 16 + 6 * 16)


def test_the_softmax_sum_is_taken_in_float64_on_the_integers():
    codes = torch.randint(-(1 << 15), 1 << 15, (1, 50, 4), generator=torch.Generator().manual_seed(0))
    blocks = torch.arange(50).div(10, rounding_mode="floor").unsqueeze(0)
    found = aggregate(codes.double() * 2.0**-11, blocks.long(), 5, "softmax")
    values = codes[0].double().numpy() * 2.0**-11
    soft = np.exp(values) / np.exp(values).sum(1, keepdims=True)
    np.testing.assert_allclose(found[0].numpy(), soft.reshape(5, 10, 4).sum(1), rtol=1e-12)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["task=oscillation", "model=adlif/oscillation", "training=adlif-oscillation"], "task oscillation feeds"),
        (["task=bsd", "model=adlif/bsd", "training=adlif-bsd", "model.cell=lstm"], "lstm"),
    ],
)
def test_models_that_no_program_can_hold_are_refused_by_name(tmp_path, capsys, overrides, reason):
    assert call("quantize", *overrides, f"run_dir={tmp_path / 'run'}") == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
