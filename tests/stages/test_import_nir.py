"""``pumice import nir``: a run folder from a file, and a feed-forward network through the whole chain."""

import json

import numpy as np
import pytest
import torch
from pumice.api.models import build_model, load_model
from pumice.cli.main import main
from pumice.export.nir import write_nir
from runs import check_same_integers

pytest.importorskip("nir")
QUICK = ["task=bsd", "task.samples=100", "task.num_classes=3", "training=adlif-bsd", "training.epochs=1"]
QUICK += ["training.batch_size=16", "system.threads=1", "logging.progress=false", "quantize.qat.epochs=1"]
QUICK += ["export.step_samples=2", "export.float_samples=5", "export.qdq_samples=5"]
QUICK += ["quantize.max_dead_zone=1", "simulate.backends=[reference,twin,run,step,onnx,c]"]


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.mark.thorough
def test_a_file_goes_through_the_chain_with_its_weights(tmp_path, capsys):
    """Feed-forward layers of two widths: fine-tuned, and the same integers in every backend."""
    settings = {"cell": "lif", "layers": 2, "hidden": [9, 6], "recurrent": False, "dropout": 0.0}
    network = build_model("adlif/bsd-lif", num_classes=3, in_features=10, seed=4, **settings)
    with torch.no_grad():
        for cell in network.cells:
            cell.input.weight.mul_(20)
    source, folder = tmp_path / "net.nir", tmp_path / "run"
    write_nir(network, source)
    assert call("import", "nir", str(source), *QUICK, f"run_dir={folder}") == 0
    assert "note: written by Pumice" in capsys.readouterr().out
    found = load_model(folder).state_dict()
    for name, values in network.state_dict().items():
        np.testing.assert_array_equal(values.numpy(), found[name].numpy())
    record = json.loads((folder / "stages/train.json").read_text())["figures"]["imported"]
    assert record["format"] == "nir"
    assert record["understood"] == ["written by Pumice: reset zero, as it says"]
    for verb in (["quantize"], ["simulate"], ["export", "target=onnx"]):
        assert call(*verb, *QUICK, f"run_dir={folder}") == 0, capsys.readouterr().err
    check_same_integers(folder)


def test_how_a_file_was_understood_stands_in_the_report(tmp_path, capsys):
    """Values as snnTorch writes them; notes on the console and on the page."""
    nir = pytest.importorskip("nir")
    each = {name: np.full(3, value) for name, value in (("tau", 5e-4), ("r", 5.0), ("v_threshold", 1.0))}
    nodes = {"input": nir.Input({"input": np.array([10])}), "0": nir.Linear(weight=np.full((3, 10), 0.2))}
    nodes |= {"1": nir.LIF(**each, v_leak=np.zeros(3), v_reset=np.zeros(3))}
    nodes |= {"output": nir.Output({"output": np.array([3])})}
    source, folder = tmp_path / "net<1>.nir", tmp_path / "run"
    nir.write(source, nir.NIRGraph(nodes, [("input", "0"), ("0", "1"), ("1", "output")]))
    task = [word for word in QUICK if not word.startswith(("quantize", "simulate", "export"))]
    assert call("import", "nir", str(source), *task, f"run_dir={folder}") == 0, capsys.readouterr().err
    printed = " ".join(capsys.readouterr().out.split())
    note = "the file does not record the reset of its training; subtract, snnTorch&#39;s default, was taken"
    assert note.replace("&#39;", "'") in printed
    assert call("report", *task, f"run_dir={folder}") == 0, capsys.readouterr().err
    page = (folder / "report.html").read_text()
    assert "Weights of net&lt;1&gt;.nir (nir): neurons reset by their threshold in the step after the spike" in page
    assert note in page


def test_files_that_do_not_fit_leave_nothing(tmp_path, capsys):
    source = tmp_path / "net.nir"
    write_nir(build_model("adlif/bsd-lif", num_classes=3, in_features=4, hidden=5), source)
    for words, sentence in (
        ([], "cells.0.input.weight"),
        (["nir.reset=half"], "nir.reset=half is unknown; use one of: zero, subtract, late-zero, late-subtract"),
        (["nir.dt=soon"], "nir.dt=soon are no seconds"),
        (["nir.refractory=soon"], "nir.refractory=soon is no number of steps; 0 is none"),
        (["nir.refractory=-2"], "nir.refractory=-2 is no number of steps from 0 to 255"),
    ):
        assert call("import", "nir", str(source), *QUICK, *words, f"run_dir={tmp_path / 'run'}") == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
