"""A spiking state-space model from files to figures, by the command line."""

import json

import numpy as np
import pytest
import torch
from pumice.api.data import load_data
from pumice.api.models import load_model
from pumice.cli.main import main
from pumice.program import load, reference
from pumice.train.norms import estimate_norms

pytestmark = pytest.mark.thorough

SMALL = [
    "model.d_model=8",
    "model.d_state=4",
    "training.epochs=8",
    "training.batch_size=10",
    "logging.tensorboard=false",
]


@pytest.fixture(scope="module")
def run(mnist_files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "folder"
    place = ["task=smnist", "model=spikingssm/smnist", f"task.root={mnist_files}", f"run_dir={folder}"]
    for verb in ("train", "evaluate"):
        with pytest.raises(SystemExit) as ended:
            main([verb, *place, *SMALL])
        assert ended.value.code == 0
    return folder


def test_it_learns_by_the_recipe_that_its_model_names(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["train"]["training_samples"] == 90
    assert metrics["evaluate"]["test"]["samples"] == 20
    assert metrics["evaluate"]["test"]["accuracy"] > 0.9
    record = json.loads((run / "stages" / "train.json").read_text())
    assert record["settings"]["training"]["ssm_lr"] == 0.001


def test_statistics_of_norms_are_those_of_the_kept_weights(run, mnist_files):
    """Estimated anew they stay as they are: nothing lags."""
    model = load_model(run)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = load_data("smnist", root=str(mnist_files), eval_batch_size=100)
    estimate_norms(model, data.norm_batches(5000))
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value, before[name], rtol=1e-5, atol=1e-6)


def test_neurons_fall_silent_and_spike(run):
    model = load_model(run)
    traces = model.traces(torch.rand(4, 784, 1))
    assert len(traces) == 2
    assert all(0 < trace.spikes.mean() < 1 for trace in traces)


def test_the_stages_behind_follow_from_it(run):
    """Integers of every backend are the same, and the report tells of spikes."""
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "run",
                f"run_dir={run}",
                "quantize.qat.epochs=1",
                "simulate.backends=[reference,twin,run,step,c]",
                "export.step_samples=1",
                "logging.progress=false",
            ]
        )
    assert ended.value.code == 0
    printed = (run / "run.log").read_text()
    assert "differing values: 0" in printed
    assert "spikes a neuron and step: blocks/0/neurons" in printed
    found = json.loads((run / "simulate.json").read_text())
    assert found["differing"] == 0
    heard = {side: found["early"][side][-1] for side in ("integer", "float")}
    assert heard == {
        side: found["accuracy"][name]["correct"] for side, name in (("integer", "run"), ("float", "float"))
    }
    assert {*found["backends"], *found["skipped"]} == {"reference", "twin", "run", "step", "c"}
    assert (run / "onnx" / "float.onnx").is_file()
    assert (run / "report.html").is_file()


def test_counts_tell_channels_and_spikes_apart(run, mnist_files):
    """Products of C and D, which published figures of energy leave out, and rows that spikes add, by an own sum."""
    program = load(run / "program.npz")
    counts = json.loads((run / "counts.json").read_text())
    samples = load_data("smnist", root=str(mnist_files)).program_samples("test", counts["integer"]["samples"])
    traces = reference.run(program, samples)
    nodes = {node["name"]: node for node in counts["integer"]["nodes"]}
    for block in range(2):
        ssm, neurons = program[f"blocks/{block}/ssm"], f"blocks/{block}/neurons"
        half, found = ssm.modes * ssm.channels, {"C": 0, "D": 0}
        for trace in traces:
            states = trace.states[ssm.name] != 0
            for part, weights in ((states[:, :half], ssm.output_re), (states[:, half:], ssm.output_im)):
                found["C"] += int(part[:, weights.ravel() != 0].sum())
            found["D"] += int((trace.values[ssm.inputs[0]] != 0)[:, ssm.feedthrough != 0].sum())
        products = [item for item in nodes[ssm.name]["operations"] if item["kind"] == "mac"]
        assert {item["what"]: item["effective"] for item in products} == found
        for name in ("y", "gate"):
            (rows,) = [item for item in nodes[f"blocks/{block}/{name}"]["operations"] if item["kind"] == "mac"]
            weight = program[f"blocks/{block}/{name}"].weights[0]
            added = sum(int((trace.values[neurons] @ (weight != 0).T.astype(int)).sum()) for trace in traces)
            assert rows["accumulate"] == rows["effective"] == added
        rate = np.mean([trace.values[neurons].mean() for trace in traces])
        assert counts["integer"]["spike_rates"][neurons] == pytest.approx(rate)


def test_tokens_and_layer_norm_go_the_same_way(tmp_path):
    """ListOps in its published form: the file's settings are bidirectional, and the rest is lowered."""
    for offset, name in enumerate(("train", "val", "test")):
        pairs = [(first, second) for first in range(9) for second in range(10) if (first + second) % 3 == offset][:9]
        lines = [f"( ( ( [MAX {first} ) {second} ) ] )\t{max(first, second)}" for first, second in pairs]
        (tmp_path / f"basic_{name}.tsv").write_text("\n".join(["Source\tTarget", *lines]) + "\n")
    settings = ["task=listops", "model=spikingssm/listops-published", f"task.root={tmp_path}", *SMALL]
    settings += ["model.bidirectional=false", "model.norm=layer", "model.norm_placement=pre", "model.layers=2"]
    settings += ["training.batch_size=3", "quantize.qat.epochs=1", "simulate.backends=[reference,twin,run,step,onnx,c]"]
    folder = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["run", *settings, f"run_dir={folder}", "export.step_samples=1", "logging.progress=false"])
    assert ended.value.code == 0
    found = json.loads((folder / "simulate.json").read_text())
    assert found["differing"] == 0
    assert {*found["backends"], *found["skipped"]} == {"reference", "twin", "run", "step", "onnx", "c"}
    program = load(folder / "program.npz")
    assert [node.name for node in program][:3] == ["token", "embedding", "blocks/0/norm"]
    assert program["blocks/0/norm"].gamma.size == 8
    assert json.loads((folder / "onnx" / "export.json").read_text())["step"]["differing"] == 0
