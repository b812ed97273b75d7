"""What the report shows of clocked networks: run folders with the results of a random network in them."""

import csv
import json
import shutil
from dataclasses import asdict
from types import SimpleNamespace

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
from pumice.program import digest, load, reference, save
from pumice.program.random.networks import random_network
from pumice.records import FINISHED, StageRecord, write_record
from pumice.train.evaluate import Predictions, figures_of

STEPS = 30


def record(folder, name, figures, **settings):
    known = {"status": FINISHED, "seconds": 1.0, "inputs": {}, "versions": {"pumice": "0"}}
    write_record(folder, StageRecord(stage=name, settings=settings, figures=figures, **known))


def accuracy(rng, program, labels):
    return of_logits(rng.normal(size=(len(labels), 3)), program, labels)


def of_logits(logits, program, labels):
    return figures_of(Predictions(logits.astype(np.float32), labels), program.class_names)


def draw(rng, size):
    """Labels, and logits of two models that agree with them now and then, the second one more often."""
    labels = rng.integers(0, 3, size)
    floats, integers = (rng.normal(size=(size, 3)) + step * np.eye(3)[labels] for step in (0.3, 1.0))
    return labels, floats, integers


def simulated(program, samples, traces, drawn, rng):
    """simulate.json of a clocked program, every step labelled, in the keys that the stage writes."""
    labels, floats, integers = drawn
    entries = {"float": of_logits(floats, program, labels)}
    entries |= {name: of_logits(integers, program, labels) for name in ("reference", "run")}
    backends = {name: reference_backend for name in ("reference", "run")}
    verdicts = compare(program, samples, backends, traced=2)
    decisions = floats.argmax(1), integers.argmax(1)
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
    drawn = draw(rng, len(samples) * STEPS)
    np.savez(folder / "drawn.npz", labels=drawn[0], floats=drawn[1], integers=drawn[2])
    (folder / "simulate.json").write_text(json.dumps(simulated(program, samples, traces, drawn, rng)))
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
        "Accuracy", "Training and fine-tuning", "Parity", "Spikes", "Program", "Operations and energy", "Memory",
        "Where precision is lost", "States and time constants", "A test sample", "Early decision and latency",
        "Confusions", "Provenance",
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
    parts = headings(page_of(tmp_path / "run"))
    assert parts[:4] == ["Accuracy", "Training and fine-tuning", "Parity", "Spikes"]


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
    assert page_of(tmp_path).count("Not run:") == 9


def test_a_comparison_names_what_its_costs_are_means_of(finished, tmp_path):
    unquantized = tmp_path / "unquantized"
    shutil.copytree(finished, unquantized)
    (unquantized / "program.npz").unlink()
    rows = write_comparison([finished, unquantized], tmp_path)
    assert [row["clocked"] for row in rows] == [True, None]
    totals = json.loads((finished / "counts.json").read_text())["integer"]["totals"]
    products = (totals["effective_macs"] + totals["effective_acs"]) / (3 * STEPS)
    assert totals["effective_acs"] > 0
    assert rows[0]["products"] == pytest.approx(products)
    assert rows[1]["products"] is None
    page = (tmp_path / "comparison.html").read_text()
    assert "matrices a step that" in page
    assert "Energy a step is" in page
    assert unit_of([{"clocked": False}, {"clocked": None}]) == "an event"
    assert unit_of([{"clocked": False}, {"clocked": True}]) == "an event or a step"


def test_names_of_layers():
    names = ("stages/0/layers/1/ssm", "cells/2", "cells/2:w", "readout", "logits")
    assert [layer_of(name) for name in names] == ["layer 0.1", "layer 2", "layer 2, w", "readout", "logits"]


@pytest.fixture(scope="module")
def page(finished, read_page):
    return read_page(finished / "report.html")


def rows_of(page, heading, number=0):
    header, *rows = page.tables[heading][number]
    return {row[0]: dict(zip(header, row, strict=False)) for row in rows}


def test_accuracies_that_are_shown(finished, page, figures):
    """Float and integers, lost and won, from the logits that were drawn."""
    with np.load(finished / "drawn.npz") as drawn:
        labels, floats, integers = (drawn[name] for name in ("labels", "floats", "integers"))
    right = {"float": floats.argmax(1) == labels, "integer, simulator": integers.argmax(1) == labels}
    lost = int((right["float"] & ~right["integer, simulator"]).sum())
    won = int((~right["float"] & right["integer, simulator"]).sum())
    assert won > lost > 0
    rows = rows_of(page, "Accuracy")
    for name, told in right.items():
        assert figures.near(rows[name]["accuracy"], told.mean(), 100)
        low, high = figures.wilson(int(told.sum()), len(labels))
        assert figures.spans(rows[name]["95 % interval"].replace(" %", ""), low, high, 100)
    assert (rows["integer, simulator"]["lost"], rows["integer, simulator"]["won"]) == (str(lost), str(won))
    assert figures.near(rows["integer, simulator"]["p"], figures.mcnemar(lost, won))
    record = json.loads((finished / "stages" / "quantize.json").read_text())["figures"]["ptq"]["test"]
    assert figures.near(rows["calibrated"]["accuracy"], record["correct"] / record["samples"], 100)
    assert record["correct"] not in {int(told.sum()) for told in right.values()}
    assert rows["fine-tuned"]["accuracy"] == rows["integer, onnxruntime"]["accuracy"] == "not run"
    assert figures.near(page.facts["float accuracy"], right["float"].mean(), 100)
    assert figures.near(page.facts["integer accuracy"], right["integer, simulator"].mean(), 100)
    counted = np.zeros((3, 3), dtype=int)
    np.add.at(counted, (labels, integers.argmax(1)), 1)
    assert (counted != counted.T).any()
    body = page.tables["Confusions"][0][1:]
    assert [[int(cell or 0) for cell in row[1:]] for row in body] == counted.tolist()


def test_protocols_that_are_shown(finished, page, figures):
    result = json.loads((finished / "simulate.json").read_text())["other_protocols"]["labelled steps"]
    record = json.loads((finished / "stages" / "evaluate.json").read_text())["figures"]
    floats = record["other_protocols"]["labelled steps"]["test"]
    assert floats["correct"] != result["correct"]
    header, row = page.tables["The same models by other protocols"][0]
    cells = dict(zip(header, row, strict=True))
    assert row[0] == "labelled steps"
    for name, entry in (("float", floats), ("integer", result)):
        told = next(cell for column, cell in cells.items() if column.startswith(name))
        assert figures.near(" ".join(told.split()[:2]), entry["correct"] / entry["samples"], 100)


def test_spikes_and_operations_that_are_shown(finished, page, figures):
    program = load(finished / "program.npz")
    rng = np.random.default_rng(0)
    samples = [(rng.integers(-1, 2, (STEPS, 6)).astype(float), np.arange(STEPS) * 4000) for _ in range(3)]
    traces = reference.run(program, samples)
    rates = rows_of(page, "Spikes")
    assert "a mean over the steps of all test samples" in page.text["Spikes"]
    for layer in range(2):
        spikes = np.mean([trace.values[f"cells/{layer}"] for trace in traces])
        assert figures.near(rates[f"layer {layer}"]["spikes a neuron and step"], spikes, 100)
    counted = SimpleNamespace(counts=json.loads((finished / "counts.json").read_text()))
    parts, rows = figures.per_part(counted), rows_of(page, "Operations a step")
    assert set(rows) == {*parts, "integer", "float32"}
    for name, part in parts.items():
        assert figures.near(rows[name]["products"], part.get("mac", 0) + part.get("ac", 0))
        assert figures.near(rows[name]["else"], part.get("other", 0))
    heading = next(name for name in page.tables if name.startswith("Energy a step"))
    energy, costs = figures.energy_of(counted, "integer"), rows_of(page, heading)
    for name, part in energy.items():
        low, high = (part[f"compute_{end}"] + part[f"memory_{end}"] for end in ("low", "high"))
        assert figures.spans(costs[name]["pJ"], low, high)
    whole = [sum(part[f"{kind}_{end}"] for part in energy.values() for kind in ("compute", "memory"))
             for end in ("low", "high")]  # fmt: skip
    assert figures.spans(costs["integer"]["pJ"], *whole)
    assert figures.near(page.facts["a step at most, estimated"], whole[1] / 1000)
    text = page.text["Operations a step"]
    assert f"Means over {3 * STEPS} steps of 3 test samples" in text
    last = page.tables[next(name for name in page.tables if "NeuroBench" in name)][0]
    shown = {row[0]: row[1:] for row in last}
    assert figures.spans(shown["energy, nJ"][0], *whole, STEPS / 1000)  # of a sample of as many steps
    totals, per = counted.counts["integer"]["totals"], 3
    for name, what in (("effective accumulates", "effective_acs"), ("dense products", "dense_macs"),
                       ("additions", "adds"), ("roundings", "rounds"), ("resets", "resets")):  # fmt: skip
        assert figures.near(shown[name][0], totals[what] / per)
    assert figures.near(shown["effective accumulates"][1], counted.counts["neurobench"]["Effective_ACs"])


def test_differing_values_are_those_of_all_backends(finished, tmp_path, read_page):
    shutil.copytree(finished, tmp_path / "run")
    simulate = json.loads((finished / "simulate.json").read_text())
    simulate["differing"] = simulate["backends"]["run"]["differing"] = 7
    (tmp_path / "run" / "simulate.json").write_text(json.dumps(simulate))
    entry = {"differing": 0, "values": 1234, "samples": 90, "recordings": 3, "events_per_s": 5678}
    exported = {"program": simulate["program"], "onnxruntime": "1.0", "float": {}}
    exported |= {"sequence": {**entry, "differing": 20}, "step": {**entry, "differing": 300}}
    exported["qdq"] = {"largest_difference": 0.25, "largest_logit": 4.0, "same_class": 88, "samples": 90}
    (tmp_path / "run" / "onnx").mkdir()
    (tmp_path / "run" / "onnx" / "export.json").write_text(json.dumps(exported))
    write_report(tmp_path / "run")
    page = read_page(tmp_path / "run" / "report.html")
    assert page.facts["differing values"] == "327"
    rows = rows_of(page, "Parity")
    assert [rows[f"onnxruntime {form}"]["differing"] for form in ("sequence", "step")] == ["20", "300"]
    assert rows["onnxruntime step"]["values compared"] == "1,234"
    assert rows["run"]["differing"] == "7"
    assert "7 values differ from those of reference" in page.text["Parity"]
    assert "its largest error is 0.25 of logits up to 4" in page.text["Parity"]
    assert "the class the same on 88 of 90 decisions" in page.text["Parity"]


def test_noise_and_memory_that_are_shown(finished, page, figures):
    program = load(finished / "program.npz")
    rows = rows_of(page, "Where precision is lost")
    assert {name: {key: cell for key, cell in row.items() if cell and key != "dB"} for name, row in rows.items()} == {
        "layer 0": {"state": "31.5", "output": "8.1"},
        "layer 1": {"state": "22.2"},
        "readout": {"output": "28.0"},
        "logits": {"output": "28.5"},
    }
    sizes = rows_of(page, "Memory")
    for name, node in (("layer 0", "cells/0"), ("layer 1", "cells/1"), ("readout", "readout"), ("logits", "logits")):
        found = program[node].parameter_bits / 8, program[node].state_bits / 8
        if any(found):
            assert figures.near(sizes[name]["parameters, bytes"], found[0])
            assert figures.near(sizes[name]["state, bytes"], found[1])
    assert figures.near(sizes["integer"]["state, bytes"], sum(node.state_bits for node in program) / 8)
    assert figures.near(page.facts["parameters"], sum(node.parameter_bits for node in program) / 8 / 1024)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_reports_no_error(finished, browse, scheme):
    browse(finished / "report.html", scheme)
