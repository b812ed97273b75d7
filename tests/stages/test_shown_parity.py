"""What was compared, in every backend and in onnxruntime, and where it all comes from."""

import hashlib
import json
import re

import numpy as np
import pytest
from pumice.export.onnx.session import Session, run_step
from pumice.program import digest
from pumice.program.nodes import DiagonalSSM
from pumice.records import record_path


def test_parity_of_the_page_and_the_csv(shown):
    _, rows = shown.table_of("Parity")
    in_csv = shown.csv_of("parity", "backend")
    events = sum(len(times) for _, times in shown.samples)
    for name, entry in shown.simulated["backends"].items():
        row, states = rows[name], len(shown.program.of_type(DiagonalSSM))
        assert row["samples"] == in_csv[name]["samples"] == "40"
        assert entry["events_per_s"] == round(events / entry["seconds"])
        assert row["events/s"] == f"{entry['events_per_s']:,}"
        assert in_csv[name]["events_per_s"] == str(entry["events_per_s"])
        offered = entry["nodes"][0]
        assert row["nodes and states traced"] == f"{offered} of {len(shown.program.nodes)}, {states} of {states}"
        assert in_csv[name]["differing"] == "0"
        if name == "reference":
            assert (row["differing"], row["values compared"]) == ("", "the oracle")
        else:
            values = shown.values_compared(name)
            assert (row["differing"], row["values compared"]) == ("0", f"{values:,}")
            assert in_csv[name]["values"] == str(values)
            assert in_csv[name]["traced"] == "4"
    assert rows["reference"]["nodes and states traced"].startswith(f"{len(shown.program.nodes)} of ")
    behind = len(shown.offered_by_none())
    assert rows["run"]["nodes and states traced"].startswith(f"{len(shown.program.nodes) - behind} of ")
    assert shown.page.facts["differing values"] == "0"
    assert "0 values differ. Every backend gives the integers of reference." in shown.page.text["Parity"]


def test_onnxruntime_on_the_page(shown, figures):
    _, rows = shown.table_of("Parity")
    whole, step, near_form = (shown.exported[name] for name in ("sequence", "step", "qdq"))
    lengths = [len(times) for _, times in shown.samples]
    columns = {"samples": "samples", "values compared": "values", "differing": "differing"}
    for name, entry, values in (("sequence", whole, 40 * 20), ("step", step, 20 * sum(lengths[:5]))):
        row = rows[f"onnxruntime {name}"]
        assert row["values compared"] == f"{values:,}"
        assert row["samples"] == ("40" if name == "sequence" else "5")
        assert row["events/s"] == f"{entry['events_per_s']:,}"
        assert all(row[cell] == f"{entry[key]:,}" for cell, key in columns.items())
        printed = shown.lines_of(shown.before.printed["export-onnx"])[name]
        assert printed[1:4] == [row["samples"], f"{values:,}", "0"]
        size = (shown.folder / "onnx" / f"{name}.onnx").stat().st_size
        assert figures.near(printed[0], size / 1024)
    text = shown.page.text["Parity"]
    assert f"its largest error is {near_form['largest_difference']:.2g} of logits" in text
    assert f"the class the same on {near_form['same_class']} of {near_form['samples']} samples" in text
    assert near_form["samples"] == 30
    assert whole["correct"] == shown.decided("integer")[0]


def test_the_approximate_forms_are_as_far_from_the_models_as_told(shown, figures):
    """The QuantizeLinear form, run event by event, against the program's logits."""
    told = shown.exported["qdq"]
    streams = run_step(Session(shown.folder / "onnx" / "qdq.onnx"), shown.program, shown.samples[:30])
    found = np.stack([rows[-1] for rows in streams]).astype(np.float64)
    right = shown.logits[:30]
    assert told["largest_difference"] == pytest.approx(np.abs(found - right).max(), rel=0.05)
    assert told["largest_logit"] == pytest.approx(np.abs(right).max(), rel=1e-3)
    assert told["sqnr_db"] == pytest.approx(figures.decibel(right, found), abs=0.3)
    assert told["same_class"] == int((found.argmax(1) == right.argmax(1)).sum())
    row = shown.lines_of(shown.before.printed["export-onnx"])["qdq"]
    assert row[1] == "30"
    assert float(row[2]) == pytest.approx(told["largest_difference"], rel=0.05)
    assert figures.near(row[3], told["sqnr_db"])
    assert row[4] == str(told["same_class"])
    assert figures.near(row[5].replace("%", " %"), (found.argmax(1) == shown.labels[:30]).mean(), 100)


def test_provenance_of_the_page(shown):
    first, second = shown.page.tables["Provenance"]
    rows = {row[0]: row[1] for row in first}
    assert rows["program"].startswith(digest(shown.program))
    assert f"program {digest(shown.program)[:12]}" in " ".join(shown.page.text.values())
    for name in ("train", "evaluate", "quantize", "simulate", "export-onnx", "export-lava", "count"):
        seconds = json.loads(record_path(shown.folder, name).read_text())["seconds"]
        assert re.search(rf"(^|, ){name} {seconds:.1f} s", rows["stages"]), name
    for name, told in ((row[0], row[1]) for row in second):
        assert hashlib.sha256((shown.folder / name).read_bytes()).hexdigest() == told, name
    assert {row[0] for row in second} >= {"weights.safetensors", "program.npz", "simulate.json", "counts.json"}
    assert f"numpy {np.__version__}" in rows["versions"]
