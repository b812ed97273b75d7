"""Figures that are equal by chance hide what is swapped: here each of them is another."""

import json
import re
import shutil

import numpy as np
import pytest
from pumice.hw_sim.report.collect import accuracy_rows
from pumice.hw_sim.report.write import write_report
from pumice.records import METRICS
from pumice.stages.quantize import _print, agreement
from pumice.stages.summary import summary
from pumice.train.evaluate import Predictions


def entry(right, low, **more):
    return {"accuracy": right / 100, "accuracy_95": [low, 0.99], "samples": 100, "correct": right, "loss": 1.5, **more}


def against(same, lost, won, sqnr):
    told = {"same_class": same, "only_float_right": lost, "only_integer_right": won}
    return {**told, "sqnr_db": sqnr, "mcnemar_p": (lost + won) / 100}


QUANTIZED = {
    "chosen": "qat",
    "ptq": {"validation": entry(61, 0.51), "test": entry(62, 0.52, **against(71, 3, 14, 21.0))},
    "qat": {"validation": entry(63, 0.53), "test": entry(64, 0.54, **against(72, 5, 16, 22.0))},
}
FLOATS = {"validation": entry(65, 0.55), "test": entry(66, 0.56)}


def test_rows_of_the_report():
    figures = {"evaluate": FLOATS, "quantize": QUANTIZED}
    rows = {row["model"]: row for row in accuracy_rows(figures, None, None)}
    for name, right, low, lost, won, same in (("ptq", 62, 0.52, 3, 14, 0.71), ("qat", 64, 0.54, 5, 16, 0.72)):
        found = rows[name]
        assert (found["correct"], found["low"], found["lost"], found["won"]) == (right, low, lost, won)
        assert found["same"] == same
    assert rows["float"]["correct"] == 66


def test_the_table_of_quantize(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _print({"float": FLOATS, **{name: QUANTIZED[name] for name in ("ptq", "qat")}}, "qat", "words")
    lines = {re.split(r" {2,}", line.strip())[0]: re.split(r" {2,}", line.strip()) for line in
             capsys.readouterr().out.splitlines() if line.strip()}  # fmt: skip
    assert lines["calibrated"][1:3] == ["61.00%", "62.00%"]
    assert lines["calibrated"][-5:] == ["21.0 dB", "71.00%", "3", "14", "0.17"]
    assert lines["fine-tuned (kept)"][-5:] == ["22.0 dB", "72.00%", "5", "16", "0.21"]


def test_lost_is_what_the_float_model_alone_has_right():
    def said(classes):
        return Predictions(np.eye(3)[classes], np.array([0, 1, 2, 0, 1]))

    found = agreement(said([0, 1, 2, 0, 2]), said([0, 1, 2, 1, 2]))
    assert (found["only_float_right"], found["only_integer_right"], found["same_class"]) == (0, 1, 4)
    found = agreement(said([1, 2, 2, 0, 1]), said([0, 1, 2, 1, 1]))
    assert (found["only_float_right"], found["only_integer_right"], found["same_class"]) == (2, 1, 2)


@pytest.mark.parametrize(("chosen", "label"), [("ptq", "calibrated"), ("qat", "fine-tuned")])
def test_the_summary_tells_of_the_model_that_was_kept(small_finished, tmp_path, chosen, label):
    folder = tmp_path / "run"
    shutil.copytree(small_finished.folder, folder)
    metrics = json.loads((folder / METRICS).read_text())
    metrics["quantize"] |= QUANTIZED | {"chosen": chosen}
    (folder / METRICS).write_text(json.dumps(metrics))
    lines = summary(folder)
    (told,) = [text for name, text in lines if name == "integers"]
    test = QUANTIZED[chosen]["test"]
    assert told.startswith(f"test {test['accuracy']:.2%} (")
    assert told.endswith(f"of 100, {label}")
    same = f"same class as float: {test['same_class']} of 100, SQNR {test['sqnr_db']:.1f} dB; "
    same += f"lost {test['only_float_right']}, won {test['only_integer_right']} (p = {test['mcnemar_p']:.2g})"
    assert ("", same) in lines


def test_the_fact_of_energy_is_the_most(small_finished, tmp_path, read_page):
    folder = tmp_path / "run"
    shutil.copytree(small_finished.folder, folder)
    counts = json.loads((folder / "counts.json").read_text())
    counts["energy"]["integer"]["per_event"]["total"] |= {"low": 2_000.0, "high": 7_000.0}
    (folder / "counts.json").write_text(json.dumps(counts))
    write_report(folder)
    assert read_page(folder / "report.html").facts["an event at most, estimated"] == "7.00 nJ"
