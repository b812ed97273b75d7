"""Accuracies, decisions lost and won, and confusions: on the page, in the CSV files, in printed tables."""

import csv
import re
import shutil

import numpy as np
import pytest


def test_lost_and_won_differ_here(shown):
    float_right, integer_right = (shown.decided(which)[0] for which in ("float", "integer"))
    assert float_right - integer_right == shown.lost - shown.won
    assert float_right != integer_right


def test_scores_are_logits_in_units_of_the_float_model(shown):
    with np.load(shown.folder / "simulate.npz") as arrays:
        np.testing.assert_allclose(arrays["scores"], shown.logits, rtol=1e-12)
        np.testing.assert_allclose(arrays["float"], shown.floats, rtol=1e-6)
    shifted = shown.logits - shown.logits.max(1, keepdims=True)
    loss = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(shifted)), shown.labels]
    assert shown.simulated["accuracy"]["run"]["loss"] == pytest.approx(loss.mean(), abs=1e-3)


def test_accuracies_of_the_page(shown, figures):
    _, rows = shown.table_of("Accuracy")
    assert list(rows) == ["float", "calibrated", "fine-tuned", "integer, simulator", "integer, onnxruntime"]
    shown.check_accuracy(rows["float"], "float")
    assert (rows["float"]["lost"], rows["float"]["won"], rows["float"]["p"]) == ("", "", "")
    for name in ("integer, simulator", "integer, onnxruntime"):
        shown.check_accuracy(rows[name], "integer")
        assert (rows[name]["lost"], rows[name]["won"]) == (str(shown.lost), str(shown.won))
        assert figures.near(rows[name]["p"], figures.mcnemar(shown.lost, shown.won))
    assert figures.near(shown.page.facts["float accuracy"], shown.decided("float")[1], 100)
    assert figures.near(shown.page.facts["integer accuracy"], shown.decided("integer")[1], 100)


def test_the_kept_model_has_the_figures_of_the_program(shown, figures):
    chosen, lost, won, sqnr = shown.kept()
    label = {"ptq": "calibrated", "qat": "fine-tuned"}[chosen]
    row = shown.table_of("Accuracy")[1][label]
    shown.check_accuracy(row, "integer")
    same = (shown.logits.argmax(1) == shown.true_floats.argmax(1)).mean()
    assert (row["lost"], row["won"]) == (str(lost), str(won))
    assert figures.near(row["p"], figures.mcnemar(lost, won))
    assert figures.near(row["SQNR"], sqnr)
    assert figures.near(row["same class"], same, 100)
    in_csv = shown.csv_of("accuracy", "model")[chosen]
    assert float(in_csv["sqnr_db"]) == pytest.approx(sqnr, abs=0.02)
    assert (in_csv["lost"], in_csv["won"]) == (str(lost), str(won))
    cells = shown.lines_of(shown.before.printed["quantize"])[f"{label} (kept)"]
    _, share, (low, high) = shown.decided("integer")
    assert figures.near(cells[1].replace("%", " %"), share, 100)
    assert figures.spans(cells[2].replace("%", ""), low, high, 100)
    assert figures.near(cells[3], sqnr)
    assert figures.near(cells[4].replace("%", " %"), same, 100)
    assert cells[5:7] == [str(lost), str(won)]
    assert figures.near(cells[7], figures.mcnemar(lost, won))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_float_model_as_it_was_printed(shown, figures, split):
    with np.load(shown.before.folder / "predictions.npz") as arrays:
        logits, labels = arrays[f"{split}_logits"].astype(np.float64), arrays[f"{split}_labels"]
    correct, count = int((logits.argmax(1) == labels).sum()), len(labels)
    shifted = logits - logits.max(1, keepdims=True)
    loss = float((np.log(np.exp(shifted).sum(1)) - shifted[np.arange(count), labels]).mean())
    name = "validation (chose the weights)" if split == "validation" else split
    cells = shown.lines_of(shown.before.printed["evaluate"])[name]
    assert cells[0] == str(count)
    assert figures.near(cells[1].replace("%", " %"), correct / count, 100)
    assert figures.spans(cells[2].replace("%", ""), *figures.wilson(correct, count), 100)
    assert figures.near(cells[3], loss)
    first = shown.lines_of(shown.before.printed["quantize"])["float"]
    assert figures.near(first[0 if split == "validation" else 1].replace("%", " %"), correct / count, 100)


def test_accuracies_of_the_csv(shown, figures):
    rows = shown.csv_of("accuracy", "model")
    for model, which in (("float", "float"), ("integer", "integer"), ("onnxruntime", "integer")):
        correct, share, (low, high) = shown.decided(which)
        row = rows[model]
        assert (int(row["correct"]), int(row["samples"])) == (correct, len(shown.labels))
        assert [float(row[key]) for key in ("accuracy", "low", "high")] == pytest.approx([share, low, high], abs=1e-4)
        if which == "integer":
            assert (row["lost"], row["won"]) == (str(shown.lost), str(shown.won))
            assert float(row["mcnemar_p"]) == pytest.approx(figures.mcnemar(shown.lost, shown.won), rel=1e-6)
    assert rows["float"]["lost"] == ""


def test_what_simulate_prints(shown, figures):
    rows = shown.lines_of(shown.printed)
    for name, which in (("float", "float"), ("reference", "integer"), ("run", "integer"), ("twin", "integer")):
        _, share, (low, high) = shown.decided(which)
        text = re.fullmatch(r"(.*)% \((.*)\)", rows[name][2])
        assert figures.near(f"{text[1]} %", share, 100)
        assert figures.spans(text[2].replace("%", ""), low, high, 100)
    assert f"float right and integers wrong: {shown.lost}, the other way round: {shown.won}" in shown.printed
    (p,) = re.findall(r"exact p = ([\d.e-]+)\)", shown.printed)
    assert float(p) == pytest.approx(figures.mcnemar(shown.lost, shown.won), rel=5e-3)
    assert "differing values: 0" in shown.printed
    for name, entry in shown.simulated["backends"].items():
        assert rows[name][3] == f"{entry['events_per_s']:,}"
        if name != "reference":
            assert rows[name][:2] == [f"{shown.values_compared(name):,}", "0"]


def test_confusions_have_the_true_class_in_rows(shown):
    matrix = shown.confusion()
    assert (matrix != matrix.T).any()
    header, rows = shown.page.tables["Confusions"][0][0], shown.page.tables["Confusions"][0][1:]
    assert header[1:] == [row[0] for row in rows] == list(shown.program.class_names)
    assert [[int(cell or 0) for cell in row[1:]] for row in rows] == matrix.tolist()
    assert "true class (rows) and answer (columns) of the integer program" in shown.page.text["Confusions"]
    with (shown.folder / "report" / "confusion.csv").open(newline="") as file:
        head, *body = csv.reader(file)
    assert head == ["true class", *shown.program.class_names]
    assert [row[0] for row in body] == list(shown.program.class_names)
    assert [[int(cell) for cell in row[1:]] for row in body] == matrix.tolist()


def test_a_comparison_shows_the_figures_of_each_run(shown, figures, tmp_path, read_page, monkeypatch):
    """Two runs that differ in the float model's decisions alone, on the page, in the CSV and printed."""
    monkeypatch.setenv("COLUMNS", "240")
    other = tmp_path / "plain" / "run"
    shutil.copytree(shown.before.folder, other)
    (other / "counts.json").unlink()
    printed = shown.lines_of(figures.call("report", str(shown.folder), str(other), f"out={tmp_path}"))
    page = read_page(tmp_path / "comparison.html")
    header, *rows = page.tables["2 runs compared"][0]
    with (tmp_path / "comparison.csv").open(newline="") as file:
        in_csv = {row["run"]: row for row in csv.DictReader(file)}
    _, lost, won, _ = shown.kept()
    _, share, (low, high) = shown.decided("integer")
    made = (shown.floats.argmax(1) == shown.labels).mean()
    original = (shown.true_floats.argmax(1) == shown.labels).mean()
    found, _, _ = shown.products()
    widths = sum(
        item["effective"] * item["widths"][0] * item["widths"][1] / shown.counts["integer"]["events"]
        for node in shown.counts["integer"]["nodes"]
        for item in node["operations"]
        if item["kind"] in ("mac", "multiply")
    )
    energy = sum(part["compute_high"] + part["memory_high"] for part in shown.energy_of("integer").values()) / 1000
    size = sum(node.parameter_bits for node in shown.program) / 8
    for folder, counted, floats, apart in (
        (shown.folder, True, made, (shown.lost, shown.won)),
        (other, False, original, (lost, won)),
    ):
        (row,) = (row for row in rows if str(folder).endswith(row[0]))
        cells, entry = dict(zip(header, row, strict=True)), in_csv[str(folder)]
        assert figures.near(cells["integer accuracy"].replace("%", " %"), share, 100)
        assert figures.spans(cells["95 % interval"].replace(" %", ""), low, high, 100)
        assert (cells["lost"], cells["won"]) == (entry["lost"], entry["won"]) == tuple(map(str, apart))
        assert figures.near(cells["float"].replace("%", " %"), floats, 100)
        assert cells["differing"] == entry["differing"] == "0"
        assert figures.near(cells["parameters, bytes"], size)
        assert float(entry["bytes"]) == size
        assert float(entry["accuracy"]) == pytest.approx(share)
        assert float(entry["float"]) == pytest.approx(floats)
        assert [float(entry[key]) for key in ("low", "high")] == pytest.approx([low, high], abs=1e-4)
        (line,) = (line for name, line in printed.items() if name != "run" and str(folder).endswith(name or "none"))
        assert figures.near(line[1].replace("%", " %"), floats, 100)
        for key, column, value in (
            ("products", "products", sum(found.values())),
            ("bit_operations", "bit operations", widths),
            ("energy_nj", "nJ", energy),
        ):
            assert figures.near(cells[column], value) if counted else cells[column] == "not run"
            assert float(entry[key]) == pytest.approx(value) if counted else entry[key] == ""
        assert figures.near(line[3], energy) if counted else line[3] == "not run"
        assert figures.near(line[2], sum(found.values())) if counted else line[2] == "not run"
        assert figures.near(line[4], size)


def test_decisions_that_differ(shown, figures):
    answers = shown.floats.argmax(1), shown.integers
    differing = [number for number in range(len(shown.labels)) if answers[0][number] != answers[1][number]]
    assert differing
    names = shown.program.class_names
    _, rows = shown.table_of("Where float and integers differ")
    in_csv = shown.csv_of("differing", "decision")
    assert list(rows) == list(in_csv) == [str(number) for number in differing[: len(rows)]]
    assert len(rows) == min(len(differing), 40)
    for number in differing[: len(rows)]:
        cells, said = rows[str(number)], [int(answer[number]) for answer in answers]
        shares = [np.exp(x[number] - x[number].max()) for x in (shown.floats, shown.logits)]
        own = [share[answer] / share.sum() for share, answer in zip(shares, said, strict=True)]
        true = int(shown.labels[number])
        right = "float" if said[0] == true else "integer" if said[1] == true else "neither"
        row = in_csv[str(number)]
        assert (row["label"], row["float"], row["integer"]) == tuple(names[index] for index in (true, *said))
        assert row["right"] == right
        assert [float(row["float_share"]), float(row["integer_share"])] == pytest.approx(own, rel=1e-4)
        told = [cells[name] for name in ("true class", "float", "integers", "right")]
        assert told == [names[true], names[said[0]], names[said[1]], right]
        assert figures.near(cells["sure"], own[0], 100)
        assert figures.near(cells["how sure"], own[1], 100)
    assert f"{len(differing)} of {len(shown.labels)} test samples" in shown.page.text["Where float and integers differ"]
