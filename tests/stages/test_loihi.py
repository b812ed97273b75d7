"""quantize=loihi by the command: from a float LIF network to lava-dl and Lava's own processes."""

import json
import shutil

import numpy as np
import pytest
from pumice.cli.main import main
from pumice.export.netx import read_net
from pumice.program import load, reference
from pumice.program.nodes import LoihiLIF
from pumice.train.data.sequences.bsd import BsdTask

QUICK = ["task=bsd", "task.samples=200", "task.num_classes=3", "model=adlif/bsd-lif", "model.hidden=12"]
QUICK += ["training=adlif-bsd", "training.epochs=2", "quantize=loihi", "quantize.qat.epochs=2", "system.threads=1"]
QUICK += ["logging.progress=false", "simulate.backends=[reference,twin,run,step,onnx,c]"]


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loihi") / "run"
    assert call("run", *QUICK, f"run_dir={folder}") == 0
    return folder


@pytest.fixture
def run_dir(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_a_run_ends_with_equal_backends_and_a_net_file(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert set(metrics) >= {"quantize", "simulate", "export-netx", "export-lava", "count"}
    stages = json.loads((finished / "report.json").read_text())["stages"]
    assert stages["export-netx"]["seconds"] == json.loads((finished / "stages/export-netx.json").read_text())["seconds"]
    assert "export-onnx" not in stages
    assert "export-onnx" not in metrics
    result = json.loads((finished / "simulate.json").read_text())
    assert result["differing"] == 0
    assert {*result["backends"], *result["skipped"]} == {"reference", "twin", "run", "step", "onnx", "c"}
    assert "no writer for LoihiLIF" in result["skipped"]["onnx"]
    heard = {side: result["early"][side][-1] for side in ("integer", "float")}
    assert heard == {
        side: result["accuracy"][name]["correct"] for side, name in (("integer", "run"), ("float", "float"))
    }
    program = load(finished / "program.npz")
    layers = [node for node in program if isinstance(node, LoihiLIF)]
    assert [node.name for node in layers] == ["cells/0", "output"]
    for mine, found in zip(layers, read_net(finished / "netx" / "network.net"), strict=True):
        np.testing.assert_array_equal(mine.weight, found.weight)
        assert mine.format == found.format
        for what in ("du", "dv", "vth"):
            np.testing.assert_array_equal(mine.each(what), found.each(what))


def test_the_neuron_that_spikes_most_often_decides(finished):
    """Scores are the spikes a step of the labelled block, steps 160 to 199 of burst sequence detection."""
    program = load(finished / "program.npz")
    arrays = np.load(finished / "simulate.npz")
    report = json.loads((finished / "simulate.json").read_text())
    task = BsdTask(name="bsd", samples=200, num_classes=3)
    tests = task.open("test")
    inputs = [tests.batch([index], None).inputs[0].numpy() for index in range(len(tests))]
    traces = reference.run(program, [(x, np.arange(len(x))) for x in inputs], trace=False)
    rates = np.stack([trace.series[160:200].mean(axis=0) for trace in traces])
    np.testing.assert_allclose(arrays["scores"], rates)
    right = rates.argmax(1) == arrays["labels"]
    assert report["accuracy"]["run"]["accuracy"] == pytest.approx(right.mean())


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (["task=spoken-digits", "model=s5/tiny", "training=spoken-digits"], "model.family=s5 has no LIF neurons"),
        (["model=adlif/bsd"], "model.cell=se-adlif has an adaptation, which Loihi's LIF neurons lack"),
        (["model.cell=lstm"], "model.cell=lstm is no spiking neuron"),
        (["task=oscillation", "model=adlif/oscillation-lif", "training=adlif-oscillation-lif"], "predicts values"),
        (["task=ecg", "task.root=nowhere", "model=adlif/bsd-lif", "training=adlif-ecg"], "labels every step"),
        (["quantize.widths.synapses=12"], "synapses of 12 bits, Loihi's have up to 8"),
        (["quantize.arithmetic=fpga"], "quantize.arithmetic=fpga is unknown"),
    ],
)
def test_models_that_cannot_take_this_path_are_named(changed, sentence, tmp_path, capsys):
    base = [word for word in QUICK if not (changed[0].startswith("task=") and word.startswith(("task", "model")))]
    assert call("quantize", *base, *changed, f"run_dir={tmp_path}") == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_exports_say_which_programs_they_hold(run_dir, tmp_path, capsys):
    assert call("export", "target=onnx", *QUICK, f"run_dir={run_dir}") == 2
    assert "ONNX has no form of Loihi's own neurons" in capsys.readouterr().err
    plain = [word for word in QUICK if not word.startswith("quantize")]
    assert call("export", "target=netx", *plain, f"run_dir={tmp_path / 'other'}") == 2
    assert "lava-dl's files hold Loihi's own neurons alone" in capsys.readouterr().err
