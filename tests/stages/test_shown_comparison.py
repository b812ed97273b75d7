"""Several runs beside each other: settings that differ, and flat results in a sentence."""

import json
import shutil

import pytest


@pytest.fixture(scope="module")
def compared(shown, figures, read_page, tmp_path_factory):
    """The run beside a copy of another seed and dropout that costs the same, and beside one of other decisions."""
    place = tmp_path_factory.mktemp("compared")
    for name, source in (("first", shown.before.folder), ("second", shown.before.folder), ("third", shown.folder)):
        shutil.copytree(source, place / name)
    for stage in (place / "second" / "stages").glob("*.json"):
        record = json.loads(stage.read_text())
        if "seed" in record["settings"]:
            record["settings"] |= {"seed": 7, "model": {**record["settings"]["model"], "dropout": 0.5}}
            stage.write_text(json.dumps(record))
    pages = {}
    for count in (2, 3):
        folders = [str(place / name) for name in ("first", "second", "third")[:count]]
        figures.call("report", *folders, f"out={place / str(count)}")
        pages[count] = read_page(place / str(count) / "comparison.html")
    return pages


def test_settings_that_differ_and_no_others(compared):
    header, *rows = compared[2].tables["Settings that differ"][0]
    assert header == ["setting", "first", "second"]
    assert sorted(rows) == [["model.dropout", "0.1", "0.5"], ["seed", "0", "7"]]


def test_task_and_widths_have_columns(compared):
    header, *rows = compared[3].tables["3 runs compared"][0]
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    assert [(row["run"], row["number"]) for row in cells] == [("first", "1"), ("second", "2"), ("third", "3")]
    assert {(row["task"], row["widths"]) for row in cells} == {("spoken-digits", "w8a8")}


def test_flat_results_are_a_sentence(compared, shown, figures):
    text = compared[2].text["Accuracy against cost"]
    _, share, _ = shown.decided("integer")
    told = text.split("the same accuracy, ")[1].split(":")[0]
    assert figures.near(told, share, 100)
    size = sum(node.parameter_bits for node in shown.program) / 8
    assert f"parameters, bytes {size:,.0f}" in text
    assert "<svg" not in compared[2].source
