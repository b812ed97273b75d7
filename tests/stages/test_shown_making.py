"""How the model was made, and where it all comes from."""

import csv
import json
import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from pumice.records import record_path


def logged(folder, column):
    with (folder / "csv" / "version_0" / "metrics.csv").open(newline="") as file:
        return [(row["epoch"], float(row[column])) for row in csv.DictReader(file) if row[column]]


def test_training_on_the_page_and_in_the_csv(shown, figures):
    logs = shown.folder / "logs"
    steps = {epoch: [loss for its, loss in logged(logs, "train/loss") if its == epoch] for epoch in "01"}
    losses, right = dict(logged(logs, "validation/loss")), dict(logged(logs, "validation/accuracy"))
    rates = [
        max(values)
        for values in zip(*([v for _, v in logged(logs, f"lr-AdamW/{g}")] for g in ("ssm", "main")), strict=True)
    ]
    best = json.loads(record_path(shown.folder, "train").read_text())["figures"]["best"]
    ranked = max("01", key=lambda epoch: (right[epoch], -losses[epoch]))
    assert best["epoch"] == int(ranked) + 1
    rows = [row for row in shown.rows_of("curves") if row["phase"] == "training"]
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for epoch, row in zip("01", rows, strict=True):
        expected = [sum(steps[epoch]) / len(steps[epoch]), losses[epoch], right[epoch], rates[int(epoch)]]
        assert [float(row[key]) for key in ("train_loss", "loss", "accuracy", "rate")] == pytest.approx(expected)
    assert rates[0] != rates[1]
    text = shown.page.text["Training and fine-tuning"]
    told = re.search(
        r"Training, 2 epochs: epoch (\d), whose weights were kept: training loss ([\d.e-]+), "
        r"validation loss ([\d.e-]+), accuracy ([\d.]+ %)",
        text,
    )
    assert told[1] == str(best["epoch"])
    assert figures.near(told[2], sum(steps[ranked]) / len(steps[ranked]))
    assert figures.near(told[3], losses[ranked])
    assert figures.near(told[4], right[ranked], 100)


def test_fine_tuning_on_the_page(shown, figures):
    logs = shown.folder / "quantize" / "logs"
    (divergence,), steps = logged(logs, "validation/loss"), [loss for _, loss in logged(logs, "train/loss")]
    text = shown.page.text["Training and fine-tuning"]
    told = re.search(
        r"Fine-tuning, 1 epoch: epoch 1, the best: training loss ([\d.e-]+), validation divergence ([\d.e-]+)\.", text
    )
    assert figures.near(told[1], sum(steps) / len(steps))
    assert figures.near(told[2], divergence[1])


def test_files_command_and_date(shown):
    rows = {row[0]: row[1] for row in shown.page.tables["Provenance"][0]}
    links = dict(re.findall(r'<a href="([^"]*)">([^<]*)</a>', shown.page.source.split("<h2>Provenance</h2>")[1]))
    assert set(links.values()) >= {"program.npz", "weights.safetensors", "simulate.json", "onnx/step.onnx", "c/main.c"}
    for link, name in links.items():
        assert link == name
        size = (shown.folder / name).stat().st_size / 1024
        told = re.search(rf"(?:^|, ){re.escape(name)} ([\d.,]+) KiB", rows["files"])[1]
        assert float(told.replace(",", "")) == pytest.approx(size, rel=0.006, abs=0.006)
    settings = [item for item in shown.before.settings if not item.startswith("run_dir")]
    assert shlex.split(rows["made by"])[:2] == ["pumice", "run"]
    made = {item.replace("'", "") for item in shlex.split(rows["made by"])[2:]}
    assert made == {*settings, "target=onnx"}  # of the last command, which was an export
    ends = [json.loads(path.read_text())["finished_at"] for path in (shown.folder / "stages").glob("*.json")]
    told = datetime.strptime(rows["finished"], "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    last = max(datetime.fromisoformat(text) for text in ends if text)
    assert last - timedelta(minutes=30) <= told <= last  # the report itself finished later
