"""What the report shows of clocked networks: run folders with the results of a random network in them."""

import csv
import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from pumice.hw_sim.counts import count, count_float, neurobench
from pumice.hw_sim.energy import energy, load_profile
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.parity.paired import compare_decisions
from pumice.hw_sim.report.collect import collect
from pumice.hw_sim.report.compare_runs import unit_of, write_comparison
from pumice.hw_sim.report.names import layer_of
from pumice.hw_sim.report.write import write_report
from pumice.program import digest, reference, save
from pumice.program.random.networks import random_network
from pumice.records import FINISHED, StageRecord, write_record
from pumice.train.evaluate import Predictions, figures_of

STEPS = 30


def record(folder, name, figures, **settings):
    known = {"status": FINISHED, "seconds": 1.0, "inputs": {}, "versions": {"pumice": "0"}}
    write_record(folder, StageRecord(stage=name, settings=settings, figures=figures, **known))


def accuracy(rng, program, labels):
    return figures_of(Predictions(rng.normal(size=(len(labels), 3)).astype(np.float32), labels), program.class_names)


def simulated(program, samples, traces, rng):
    """simulate.json of a clocked program, every step labelled, in the keys that the stage writes."""
    labels = rng.integers(0, 3, len(samples) * STEPS)
    entries = {name: accuracy(rng, program, labels) for name in ("float", "reference", "run")}
    backends = {name: reference_backend for name in ("reference", "run")}
    verdicts = compare(program, samples, backends, traced=2)
    decisions = [rng.integers(0, 3, len(labels)) for _ in range(2)]
    states = {}
    for node in program:
        if node.name.startswith("cells/"):
            for name, codes in zip("uw", np.split(traces[0].states[node.name], 2, axis=1), strict=True):
                form = node.potential if name == "u" else node.adaptation
                bits = np.bincount(np.frexp(np.abs(codes.ravel()).astype(float))[1], minlength=form.width + 1)
                states[f"{node.name}:{name}"] = {"width": form.width, "counts": bits.tolist()}
    taus = {f"cells/{layer}:{name}": rng.uniform(5, 300, 9).tolist() for layer in range(2) for name in "uw"}
    return {
        "program": digest(program),
        "class_names": list(program.class_names),
        "events": len(samples) * STEPS,
        "differing": verdicts.differing,
        "oracle": "reference",
        "backends": {
            verdict.backend: {**asdict(verdict), "events": 90, "events_per_s": 1000}
            for verdict in (verdicts.oracle, *verdicts.verdicts)
        },
        "skipped": {"lava": "no Python 3.10"},
        "accuracy": entries,
        "other_protocols": {"labelled steps": accuracy(rng, program, labels[:70])},
        "float_and_integer": asdict(compare_decisions(*decisions, labels)),
        "saturations": verdicts.oracle.saturations,
        "clipped_gaps": {},
        "incomplete": 0,
        "traced": 2,
        "sqnr_db": {"cells/0": 8.1, "cells/0:state": 31.5, "cells/1:state": 22.2, "readout": 28.0, "logits": 28.5},
        "state_bits": states,
        "time_constants_steps": taus,
        "spike_rates": {f"cells/{i}": float(np.mean([t.values[f"cells/{i}"] for t in traces])) for i in range(2)},
        "example": {"sample": 0, "label": None, "logits_frac": program["logits"].output.frac},
    }


def reference_backend(program, samples, trace):
    return reference.run(program, samples, trace=trace)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("clocked") / "run"
    folder.mkdir()
    rng = np.random.default_rng(0)
    program = random_network(
        5, value="dense", cell="se", layers=2, hidden=9, inputs=6, input="ternary", recurrent=True, extreme=False
    )
    times = np.arange(STEPS) * 4000
    samples = [(rng.integers(-1, 2, (STEPS, 6)).astype(float), times) for _ in range(3)]
    traces = reference.run(program, samples)
    save(program, folder / "program.npz")
    (folder / "simulate.json").write_text(json.dumps(simulated(program, samples, traces, rng)))
    arrays = {"values": samples[0][0], "times": times, "logits": traces[0].series}
    np.savez(folder / "simulate.npz", **{f"example_{name}": array for name, array in arrays.items()})
    profile = load_profile(request.config.rootpath / "configs" / "hardware" / "horowitz-45nm.yaml")
    integer, floating = count(program, traces), count_float(program, traces)
    counted = {
        "program": digest(program),
        "samples": 3,
        "integer": integer.to_dict(),
        "float32": floating.to_dict(),
        "neurobench": neurobench(integer),
        "profile": asdict(profile),
        "energy": {"integer": energy(integer, profile).to_dict(), "float32": energy(floating, profile).to_dict()},
    }
    (folder / "counts.json").write_text(json.dumps(counted))
    labels = rng.integers(0, 3, 90)
    test = {"test": accuracy(rng, program, labels)}
    other = {"labelled steps": {"test": accuracy(rng, program, labels[:70])}}
    record(folder, "evaluate", {**test, "other_protocols": other}, task={"name": "ecg"}, model={"name": "adlif"})
    for name in ("train", "simulate", "count"):
        record(folder, name, {})
    record(folder, "quantize", {"ptq": {**test}})
    write_report(folder)
    return folder


def page_of(folder):
    return (folder / "report.html").read_text()


def headings(text):
    return [part.split("</h2>")[0] for part in text.split("<h2>")[1:]]


def test_sections_of_a_clocked_run(finished, check_page):
    text = page_of(finished)
    check_page(text)
    assert headings(text) == [
        "Accuracy", "Parity", "Spikes", "Operations and energy", "Memory", "Where precision is lost",
        "States and time constants", "A test sample", "Confusions", "Provenance",
    ]  # fmt: skip
    assert "Not run:" not in text
    for expected in (
        "labelled steps",
        "Operations a step",
        "steps/s",
        "time constant, steps",
        "layer 1, w",
        "0 values",
    ):
        assert expected in text, expected
    shown = text.split("<body>")[1].split("Constants and their sources")[0] + text.split("Memory</h2>")[1]
    for foreign in ("an event", "events/s", "complete window", "gap", "modes", "functions"):
        assert foreign not in shown.split("Provenance")[0], foreign


def test_figures_are_those_of_the_stages(finished):
    data, counted = (json.loads((finished / name).read_text()) for name in ("report.json", "counts.json"))
    result = json.loads((finished / "simulate.json").read_text())
    assert data["clocked"]
    assert data["spike_rates"]["layers"] == {"layer 0": result["spike_rates"]["cells/0"],
                                             "layer 1": result["spike_rates"]["cells/1"]}  # fmt: skip
    (row,) = data["protocols"]
    assert row["integer"]["accuracy"] == result["other_protocols"]["labelled steps"]["accuracy"]
    assert row["float"]["samples"] == 70
    ours = {row["what"]: (row["pumice"], row["neurobench"]) for row in data["neurobench"]}
    assert ours["effective_acs"][0] == ours["effective_acs"][1] == counted["neurobench"]["Effective_ACs"] > 0
    assert ours["dense"][0] == ours["dense"][1]
    assert ours["activation_sparsity"][0] == pytest.approx(ours["activation_sparsity"][1])
    assert ours["state_updates"] == (STEPS * (9 + 9 + 3), None)
    assert data["memory"]["integer"]["state"] == counted["integer"]["totals"]["state_bits"] / 8
    assert data["time_constants"] == {"unit": "steps", "values": result["time_constants_steps"]}
    with (finished / "report" / "accuracy.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert float(rows["integer, labelled steps"]["accuracy"]) == row["integer"]["accuracy"]
    with (finished / "report" / "layers.csv").open() as file:
        rows = {row["layer"]: row for row in csv.DictReader(file)}
    assert float(rows["layer 1"]["spike_rate"]) == data["spike_rates"]["layers"]["layer 1"]
    assert rows["readout"]["spike_rate"] == ""


def test_rates_come_from_the_counts_where_nothing_was_simulated(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "simulate.json").unlink()
    data = write_report(tmp_path / "run")
    counted = json.loads((finished / "counts.json").read_text())
    assert data["spike_rates"]["of"] == "the counted samples"
    assert data["spike_rates"]["layers"]["layer 0"] == counted["integer"]["spike_rates"]["cells/0"]
    assert headings(page_of(tmp_path / "run"))[:3] == ["Accuracy", "Parity", "Spikes"]


@pytest.mark.parametrize("what", ["values", "baseline"])
def test_runs_that_end_with_the_float_model_show_no_empty_sections(tmp_path, check_page, what):
    rng = np.random.default_rng(0)
    program = random_network(5, value="dense")
    test = {"samples": 4, "loss": 0.25, "loss_second_half": 0.5, "loss_of_mean": 0.75}
    if what == "baseline":
        test = accuracy(rng, program, rng.integers(0, 3, 20))
    record(
        tmp_path, "evaluate", {"test": test}, model={"name": "m", "cell": "lstm" if what == "baseline" else "se-adlif"}
    )
    data = write_report(tmp_path)
    text = page_of(tmp_path)
    check_page(text)
    assert not data["quantizable"]
    if what == "values":
        assert headings(text) == ["Errors", "Provenance"]
        assert data["errors"] == {"loss": 0.25, "loss_second_half": 0.5, "loss_of_mean": 0.75}
    else:
        assert headings(text) == ["Accuracy", "Confusions", "Provenance"]
    assert "Not run:" not in text


def test_a_classifier_that_was_not_quantized_yet_says_so(tmp_path):
    rng = np.random.default_rng(0)
    test = accuracy(rng, random_network(5, value="dense"), rng.integers(0, 3, 20))
    record(tmp_path, "evaluate", {"test": test}, model={"name": "m", "cell": "se-adlif"})
    assert collect(tmp_path)["quantizable"]
    write_report(tmp_path)
    assert page_of(tmp_path).count("Not run:") == 6


def test_a_comparison_names_what_its_costs_are_means_of(finished, tmp_path):
    unquantized = tmp_path / "unquantized"
    shutil.copytree(finished, unquantized)
    (unquantized / "program.npz").unlink()
    rows = write_comparison([finished, unquantized], tmp_path)
    assert [row["clocked"] for row in rows] == [True, None]
    page = (tmp_path / "comparison.html").read_text()
    assert "matrices a step that" in page
    assert "Energy a step is" in page
    assert unit_of([{"clocked": False}, {"clocked": None}]) == "an event"
    assert unit_of([{"clocked": False}, {"clocked": True}]) == "an event or a step"


def test_names_of_layers():
    names = ("stages/0/layers/1/ssm", "cells/2", "cells/2:w", "readout", "logits")
    assert [layer_of(name) for name in names] == ["layer 0.1", "layer 2", "layer 2, w", "readout", "logits"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_reports_no_error(finished, browse, scheme):
    browse(finished / "report.html", scheme)
