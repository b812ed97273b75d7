"""Spiking S5 on events, from files to figures, by the command line."""

import json

import numpy as np
import pumice
import pytest
from pumice.cli.main import main
from pumice.program import load, reference
from pumice.program.nodes import DiagonalSSM, DrivenLIF
from runs import check_same_integers

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def finished(small_run, tmp_path_factory):
    """The folder of a whole run, and what it printed."""
    folder = tmp_path_factory.mktemp("spikings5") / "run"
    settings = ["model=spikings5/tiny", *small_run, "quantize.qat.epochs=1", "quantize.max_dead_zone=1"]
    settings += [
        "simulate.backends=[reference,twin,run,step,onnx,c]",
        "export.step_samples=2",
        "logging.progress=false",
    ]
    with pytest.raises(SystemExit) as ended:
        main(["run", *settings, f"run_dir={folder}"])
    assert ended.value.code == 0
    return folder


def test_every_backend_gives_the_same_integers(finished):
    check_same_integers(finished)


def test_a_layer_is_a_state_space_of_events_and_neurons_of_windows(finished):
    program = load(finished / "program.npz")
    assert len(program.of_type(DiagonalSSM)) == len(program.of_type(DrivenLIF)) > 0
    rng = np.random.default_rng(0)
    sample = rng.integers(0, 700, 50), np.cumsum(rng.integers(0, 3000, 50))
    (trace,) = reference.run(program, [sample])
    steps = [len(trace.values[node.name]) for node in program.of_type(DrivenLIF)]
    assert steps[0] == 50 // 4


def test_counts_tell_state_spaces_and_spikes_apart(finished, small_set):
    """Products of B, rows that spikes add, and rates of spikes by an own sum over the reference's values."""
    program = load(finished / "program.npz")
    counts = json.loads((finished / "counts.json").read_text())
    samples = pumice.load_data("spoken-digits", root=str(small_set)).program_samples(
        "test", counts["integer"]["samples"]
    )
    traces = reference.run(program, samples)
    assert len(traces) == counts["integer"]["samples"] > 1
    nodes = {node["name"]: node for node in counts["integer"]["nodes"]}
    priced = {node["name"]: node["compute"] for node in counts["energy"]["integer"]["nodes"]}

    def effective(weight, source):
        """Products of weights that are not zero with values that are not."""
        return sum(int(((trace.values[source] != 0) @ (weight != 0).T.astype(int)).sum()) for trace in traces)

    for ssm in program.of_type(DiagonalSSM):
        path = ssm.name.removesuffix("/ssm")
        (products,) = [item for item in nodes[ssm.name]["operations"] if item["kind"] == "mac"]
        source = ssm.inputs[0]
        assert products["effective"] == effective(ssm.input_re, source) + effective(ssm.input_im, source) > 0
        for half in ("y", "gate"):
            (rows,) = [item for item in nodes[f"{path}/{half}"]["operations"] if item["kind"] == "mac"]
            added = effective(program[f"{path}/{half}"].weights[0], f"{path}/neurons")
            assert rows["accumulate"] == rows["effective"] == added > 0
        spikes = np.concatenate([trace.values[f"{path}/neurons"] for trace in traces])
        assert counts["integer"]["spike_rates"][f"{path}/neurons"] == pytest.approx(spikes.mean())
        assert all(priced[name]["high"] > 0 for name in (ssm.name, f"{path}/neurons", f"{path}/y"))


def test_the_report_shows_the_rates_of_all_test_samples(finished, read_page):
    rates = json.loads((finished / "simulate.json").read_text())["spike_rates"]
    page = read_page(finished / "report.html")
    shown = {row[0]: float(row[1].rstrip(" %")) for row in page.tables["Spikes"][0][1:]}
    assert shown == {
        f"layer {name.split('/')[1]}.{name.split('/')[3]}": pytest.approx(100 * rate, abs=0.0051)
        for name, rate in rates.items()
    }
    assert len(shown) == 4
