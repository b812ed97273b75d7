"""From the float model to the report by the command, and what the page shows."""

import csv
import json
import shutil

import numpy as np
import pumice
import pytest
from pumice.api import backends
from pumice.cli.main import main
from pumice.hw_sim.parity import health
from pumice.hw_sim.report import FILES
from pumice.hw_sim.report.collect import collect
from pumice.hw_sim.report.compare_runs import short_names
from pumice.hw_sim.report.figures import pareto_front
from pumice.hw_sim.report.write import write_report
from pumice.program import load, reference
from pumice.stages import simulate

STAGES = ("train", "evaluate", "quantize", "simulate", "count")


@pytest.fixture(scope="module")
def settings(small_finished):
    return small_finished.settings


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def finished(small_upto, settings):
    """A run with a report and no ONNX export; copy it before changing it."""
    folder = small_upto(*STAGES)
    assert call("report", *settings, f"run_dir={folder}") == 0
    return folder


@pytest.fixture
def run_dir(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_all_backends_agree_and_the_figures_follow_from_the_logits(finished):
    result = json.loads((finished / "simulate.json").read_text())
    arrays = np.load(finished / "simulate.npz")
    labels, floats = arrays["labels"], arrays["float"]
    assert result["differing"] == 0
    assert set(result["backends"]) == {"reference", "twin", "run", "step"}
    for name, entry in result["backends"].items():
        np.testing.assert_array_equal(arrays[name], arrays["reference"])
        assert entry["samples"] == len(labels) == 40
        assert result["accuracy"][name]["correct"] == (arrays[name].argmax(1) == labels).sum()
        if name != "reference":
            assert entry["values"] > 40 * 20
            assert entry["states"] == [4, 4]
    integer = arrays["run"].argmax(1)
    paired = result["float_and_integer"]
    assert paired["only_a_right"] == ((floats.argmax(1) == labels) & (integer != labels)).sum()
    assert paired["only_b_right"] == ((floats.argmax(1) != labels) & (integer == labels)).sum()
    np.testing.assert_array_equal(arrays["example_logits"][-1], arrays["run"][0])


def test_integers_stay_near_the_float_model_at_every_node(finished):
    program = load(finished / "program.npz")
    ratios = json.loads((finished / "simulate.json").read_text())["sqnr_db"]
    named = {name.removesuffix(":state") for name in ratios}
    left = {"token", "gap", "state", "u_pool", "skip_pool", "gap_pool", "sigmoid", "gated"}
    assert named == {node.name for node in program if node.name.split("/")[-1] not in left}
    assert all(ratio is not None and ratio > 15 for ratio in ratios.values()), ratios


def test_one_wrong_unit_ends_with_exit_code_one_and_its_place(run_dir, settings, monkeypatch, capsys):
    right = backends.run_frozen

    def wrong(frozen, program, samples, trace):
        traces = right(frozen, program, samples, trace)
        if trace:
            traces[2].values["stages/0/layers/1/gelu"][4, 3] += 1
        return traces

    monkeypatch.setattr(backends, "run_frozen", wrong)
    assert call("simulate", *settings, f"run_dir={run_dir}", "redo=[simulate]") == 1
    error = capsys.readouterr().err
    assert "1 values differ" in error
    assert "sample 2, event 4, output of stages/0/layers/1/gelu, channel 3" in error
    assert json.loads((run_dir / "simulate.json").read_text())["differing"] == 1
    assert collect(run_dir)["parity"]["differing"] == 1


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("simulate.backends=[reference,fpga]", "backend fpga is unknown"),
        ("simulate.backends=[reference]", "needs two or more"),
        ("simulate.backends=[run,run]", "each of them once"),
        ("simulate.samples.reference=2", "is the oracle"),
        ("simulate.traced=0", "at least 1"),
        ("simulate.example=4000", "has 40 samples"),
        ("count.samples=0", "at least 1"),
        ("hardware.constants.add-int8.source=''", "constant add-int8: has no source"),
    ],
)
def test_bad_settings_are_one_sentence(run_dir, settings, override, sentence, capsys):
    verb = "simulate" if override.startswith("simulate") else "count"
    assert call(verb, *settings, f"run_dir={run_dir}", f"redo=[{verb}]", override) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


@pytest.mark.parametrize("verb", ["simulate", "count", "report"])
@pytest.mark.parametrize("damage", ["program.npz", "metrics.json"])
def test_damaged_files_are_one_sentence(run_dir, settings, verb, damage, capsys):
    if damage == "metrics.json" and verb != "report":
        damage = "predictions.npz" if verb == "simulate" else "program.npz"
    content = bytearray((run_dir / damage).read_bytes())
    del content[len(content) // 2 :]
    (run_dir / damage).write_bytes(content)
    assert call(verb, *settings, f"run_dir={run_dir}", f"redo=[{verb}]") == 2
    error = capsys.readouterr().err
    assert damage in error
    assert error.startswith("pumice: ")
    assert error.count("\n") == 1


def test_simulation_does_without_predictions(run_dir, settings, capsys):
    with_them = json.loads((run_dir / "simulate.json").read_text())
    assert call("simulate", *settings, f"run_dir={run_dir}") == 0
    assert "finished earlier" in capsys.readouterr().out
    (run_dir / "predictions.npz").unlink()
    assert call("simulate", *settings, f"run_dir={run_dir}") == 0
    without = json.loads((run_dir / "simulate.json").read_text())
    for key in ("accuracy", "float_and_integer", "differing", "sqnr_db", "saturations"):
        assert without[key] == with_them[key]
    assert "predictions.npz" not in json.loads((run_dir / "stages" / "simulate.json").read_text())["inputs"]


def test_signs_are_told_by_stages_and_report(run_dir, settings, monkeypatch, capsys):
    monkeypatch.setattr(health, "SATURATED", -1.0)  # so that something is told of every program
    assert call("simulate", *settings, f"run_dir={run_dir}", "redo=[simulate]") == 0
    assert "note: values that clipped: token 0.0%" in capsys.readouterr().out
    (note,) = collect(run_dir)["notes"]
    assert json.loads((run_dir / "simulate.json").read_text())["notes"] == [note]
    assert call("report", *settings, f"run_dir={run_dir}") == 0
    assert "values that clipped: token 0.0%" in (run_dir / "report.html").read_text()
    assert call("quantize", *settings, "quantize.qat.epochs=0", f"run_dir={run_dir}", "redo=[quantize]") == 0
    assert "note: values that clipped: token 0.0%" in capsys.readouterr().out


def test_a_backend_may_get_fewer_samples(run_dir, settings):
    """The first ones; what is told of it is of these alone. The report's sample is the one asked for."""
    more = ["simulate.backends=[run,step,onnx]", "simulate.samples.step=5", "simulate.samples.onnx=6"]
    more += ["simulate.traced=1", "simulate.example=3"]
    assert call("simulate", *settings, f"run_dir={run_dir}", "redo=[simulate]", *more) == 0
    result = json.loads((run_dir / "simulate.json").read_text())
    backends = result["backends"]
    assert {name: entry["samples"] for name, entry in backends.items()} == {"run": 40, "step": 5, "onnx": 6}
    task = json.loads((run_dir / "stages" / "train.json").read_text())["settings"]["task"]
    lengths = [len(times) for _, times in pumice.load_data(task).program_samples("test")]
    for name, entry in backends.items():
        assert entry["events"] == sum(lengths[: entry["samples"]])
        assert entry["events_per_s"] == round(entry["events"] / entry["seconds"])
        assert entry["traced"] == 1
        assert result["accuracy"][name]["samples"] == entry["samples"]
    with np.load(run_dir / "simulate.npz") as arrays:
        assert len(arrays["example_times"]) == lengths[3]
        np.testing.assert_array_equal(arrays["example_logits"][-1], arrays["run"][3])
        assert result["example"] == {**result["example"], "sample": 3, "label": int(arrays["labels"][3])}


def test_the_reference_sees_samples_in_their_own_order():
    from pumice.program.random.programs import random_program, random_sample

    program = random_program(4, pairing="causal")
    samples = [random_sample(program, seed, length) for seed, length in enumerate((9, 2, 30, 2, 17))]
    packed = backends.run_reference(program, samples, False)
    for mine, right in zip(packed, reference.run(program, samples, trace=False), strict=True):
        np.testing.assert_array_equal(mine.logits, right.logits)


def test_remembering_asks_once():
    asked = []

    def backend(program, samples, trace):
        asked.append(len(samples))
        return [object() for _ in samples]

    remembering = backends.Remembering(backend)
    samples = [(0, 0), (1, 1), (2, 2)]
    everything = remembering(None, samples, False)
    assert remembering(None, samples[:2], False) == everything[:2]
    remembering(None, [(9, 9)], False)
    assert asked == [3, 1]


def test_the_report_holds_the_figures_of_the_stages(finished):
    data = json.loads((finished / "report.json").read_text())
    simulated = json.loads((finished / "simulate.json").read_text())
    counted = json.loads((finished / "counts.json").read_text())
    rows = {row["model"]: row for row in data["accuracy"]}
    assert rows["integer"]["accuracy"] == simulated["accuracy"]["run"]["accuracy"]
    quantized = json.loads((finished / "stages" / "quantize.json").read_text())["figures"]
    for name in ("ptq", "qat"):
        assert rows[name]["correct"] == quantized[name]["test"]["correct"]
    assert rows["onnxruntime"]["accuracy"] is None
    assert data["stages"]["export-onnx"] is None
    per_event = counted["integer"]["per_event"]
    layers = data["operations"]["layers"].values()
    assert sum(layer["mac"] for layer in layers) == pytest.approx(per_event["effective_macs"])
    assert sum(layer["dense"] for layer in layers) == pytest.approx(per_event["dense_macs"])
    energy = counted["energy"]["integer"]["per_event"]["total"]["high"]
    parts = data["energy"]["layers"].values()
    assert sum(part["compute_high"] + part["memory_high"] for part in parts) == pytest.approx(energy)
    assert data["memory"]["integer"]["weights"] == counted["integer"]["totals"]["parameter_bits"] / 8
    assert data["memory"]["float32"]["state"] == counted["float32"]["totals"]["state_bits"] / 8


def test_every_file_of_the_report_is_there(finished):
    """Their figures: test_shown_*.py."""
    assert all((finished / name).stat().st_size > 0 for name in FILES)
    with (finished / "report" / "accuracy.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert rows["onnxruntime"]["accuracy"] == ""


def test_what_has_not_run_is_said_and_not_invented(run_dir, settings):
    for name in ("simulate.json", "simulate.npz", "counts.json", "program.npz"):
        (run_dir / name).unlink()
    for name in ("quantize", "simulate", "count"):
        (run_dir / "stages" / f"{name}.json").unlink()
    data = write_report(run_dir)
    assert [data[key] for key in ("parity", "operations", "energy", "memory", "nodes", "states")] == [None] * 6
    assert [row["accuracy"] is None for row in data["accuracy"]] == [False, True, True, True, True]
    assert data["confusion"]["of"] == "float model"
    page = (run_dir / "report.html").read_text()
    assert page.count("Not run:") == 9


def test_results_of_another_program_count_as_not_run(run_dir):
    result = json.loads((run_dir / "counts.json").read_text())
    (run_dir / "counts.json").write_text(json.dumps({**result, "program": "0" * 64}))
    assert collect(run_dir)["operations"] is None


def test_the_page_is_whole_and_loads_nothing(finished, check_page):
    check_page((finished / "report.html").read_text())


def test_names_are_escaped(run_dir):
    result = json.loads((run_dir / "simulate.json").read_text())
    result["class_names"][result["example"]["label"]] = "<b>$x_1$ & co</b>"
    (run_dir / "simulate.json").write_text(json.dumps(result))
    write_report(run_dir)
    text = (run_dir / "report.html").read_text()
    assert "<b>$x" not in text
    assert text.count("&lt;b&gt;$x_1$ &amp; co&lt;/b&gt;") >= 4  # both axes of the matrix, both rasters


def test_a_comparison_names_runs_by_what_differs(finished, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    (other / "counts.json").unlink()
    assert call("report", str(finished), str(other), f"out={tmp_path / 'both'}") == 0
    rows = json.loads((tmp_path / "both" / "comparison.json").read_text())
    assert rows[0]["accuracy"] == rows[1]["accuracy"] is not None
    per_event = json.loads((finished / "counts.json").read_text())["integer"]["per_event"]
    assert rows[0]["products"] == pytest.approx(per_event["effective_macs"] + per_event["effective_acs"])
    assert rows[1]["products"] is None
    page = (tmp_path / "both" / "comparison.html").read_text()
    assert "not run" in page
    assert call("report", str(finished)) == 2
    assert "run_dir=" in capsys.readouterr().err
    assert call("report", str(finished), str(tmp_path)) == 2
    assert "holds no finished stage" in capsys.readouterr().err
    assert call("report", str(finished), str(other), "colour=red") == 2
    assert [(row["task"], row["widths"]) for row in rows] == [("spoken-digits", "w8a8")] * 2
    for stage in (other / "stages").glob("*.json"):
        stage.write_text(stage.read_text().replace('"name": "spoken-digits"', '"name": "shd"'))
    capsys.readouterr()
    assert call("report", str(finished), str(other), f"out={tmp_path / 'unlike'}") == 2
    told = f"({finished} of spoken-digits, {other} of shd)"
    assert told in capsys.readouterr().err
    assert not (tmp_path / "unlike").exists()
    assert call("report", str(finished), str(tmp_path / "nothing")) == 2


def test_short_names():
    assert short_names(["runs/m/a=1,b=2", "runs/m/a=1,b=3"]) == ["b=2", "b=3"]
    assert short_names(["x/run", "y/run"]) == ["x/run", "y/run"]
    assert short_names(["runs/one"]) == ["runs/one"]


def test_the_front_holds_what_no_other_beats():
    cost, accuracy = np.array([3.0, 1.0, 2.0, 2.0, 4.0]), np.array([0.9, 0.5, 0.4, 0.7, 0.9])
    assert pareto_front(cost, accuracy).tolist() == [1, 3, 0]


def test_inspect_and_diff(finished, tmp_path, capsys):
    program = str(finished / "program.npz")
    assert call("inspect", program, "--json") == 0
    assert json.loads(capsys.readouterr().out)["digest"] == collect(finished)["provenance"]["program_digest"]
    assert call("inspect", program) == 0
    assert "Dead zones" in capsys.readouterr().out
    assert call("diff", program, program) == 0
    assert "identical" in capsys.readouterr().out
    for wrong in ((), (program, program), (str(tmp_path),), (str(finished / "simulate.npz"),), (program, "--wide")):
        assert call("inspect", *wrong) == 2
        error = capsys.readouterr().err
        assert error.startswith("pumice: ")
        assert error.count("\n") == 1


def test_counts_and_simulation_fit_their_settings(finished):
    assert json.loads((finished / "counts.json").read_text())["samples"] == 3
    assert simulate.SimulateSettings(["run", "step"]).traced == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["report", "comparison"])
def test_a_browser_reports_no_error_and_asks_for_nothing(finished, tmp_path, browse, page, scheme):
    source = finished / "report.html"
    if page == "comparison":
        assert call("report", str(finished), str(finished), f"out={tmp_path}") == 0
        source = tmp_path / "comparison.html"
    browse(source, scheme)
