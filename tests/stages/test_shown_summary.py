"""What a whole run prints: a summary that a screen holds, whose figures are those of the files; a log has the rest."""

import json
import re
import shutil

import numpy as np
import pytest
from pumice.program import load
from pumice.stages.summary import MOST_NOTES, summary
from pumice.stages.table import STAGES

MOST_LINES = 40
"""Of a summary."""


@pytest.fixture(scope="module")
def whole(small_finished, figures, tmp_path_factory):
    """What `pumice run` prints on a folder in which all has run, and, anew, of what has not."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(small_finished.folder, folder)
    done = figures.call("run", *small_finished.settings, f"run_dir={folder}")
    anew = figures.call("run", *small_finished.settings, f"run_dir={folder}", "redo=[count]")
    return folder, done, anew


def lines_of(printed):
    """The lines of a summary by their headings."""
    found, heading = {}, ""
    for line in printed.partition("\n\n")[2].splitlines():
        heading = line.split("  ")[0].strip() or heading
        found.setdefault(heading, []).append(line.split("  ", 1)[1].strip() if "  " in line else line)
    return found


def test_it_is_short_and_begins_with_the_folder(whole):
    folder, done, anew = whole
    for printed in (done, anew):
        first, *rest = printed.splitlines()
        assert first == f"in {folder}:"
        assert len(rest) < 60
    taken = [stage for stage in STAGES if stage.arithmetic != "loihi"]
    assert sum("finished earlier" in line for line in done.splitlines()) == len(taken)
    assert re.search(r"^count +[\d.]+ s  operations", anew, re.M)
    assert "dense    MAC" not in anew  # a table of the stage's own, which the log has
    assert "Operations an input event" in (folder / "run.log").read_text()


def test_v_prints_all_that_the_stages_say(small_finished, figures, whole):
    folder, _, _ = whole
    printed = figures.call("run", "-v", *small_finished.settings, f"run_dir={folder}", "redo=[count]")
    assert "Operations an input event" in printed
    assert f"report   {folder / 'report.html'}".split() == printed.splitlines()[-2].split()


def test_the_log_has_every_command_with_its_end(whole, small_finished):
    folder, _, _ = whole
    log = (folder / "run.log").read_text()
    begun = re.findall(r"^== .* UTC pumice .*: pumice (\w+) ", log, re.M)
    assert begun[:3] == ["train", "evaluate", "quantize"]
    assert begun[-1] == "run"
    assert len(begun) == len(small_finished.printed) + begun.count("run")
    assert len(begun) == len(re.findall(r"^== .* UTC done$", log, re.M))
    assert "\x1b" not in log


def test_its_accuracies_are_those_of_the_files(shown, figures):
    told = dict(reversed(summary(shown.before.folder)))  # of headings that come twice the first
    with np.load(shown.before.folder / "predictions.npz") as arrays:
        floats = arrays["test_logits"].argmax(1) == arrays["test_labels"]
    for name, right in (("float", floats), ("integers", shown.integers == shown.labels)):
        text = re.match(r"test ([\d.]+)% \(95 %: ([\d.]+)% to ([\d.]+)%\) of (\d+)", told[name])
        assert text[4] == str(len(right))
        assert figures.near(f"{text[1]} %", right.mean(), 100)
        assert figures.spans(f"{text[2]} % to {text[3]} %", *figures.wilson(int(right.sum()), len(right)), 100)
    _, lost, won, noise = shown.kept()
    lines = [text for name, text in summary(shown.before.folder) if name == ""]
    (same,) = [text for text in lines if text.startswith("same class")]
    pattern = r"same class as float: (\d+) of (\d+), SQNR ([\d.-]+) dB; lost (\d+), won (\d+) \(p = (.*)\)"
    text = re.fullmatch(pattern, same)
    agreeing = int((shown.true_floats.argmax(1) == shown.integers).sum())
    assert [int(text[n]) for n in (1, 2, 4, 5)] == [agreeing, len(shown.labels), lost, won]
    assert figures.near(text[3], noise)
    assert float(text[6]) == pytest.approx(figures.mcnemar(lost, won), rel=0.05)


def test_its_costs_and_parity_are_those_of_the_files(shown, figures, whole):
    told = lines_of(whole[1])
    program = load(shown.folder / "program.npz")
    text = re.fullmatch(r"([\d,]+) bytes of parameters, ([\d,]+) of state", told["memory"][0])
    assert figures.near(text[1], sum(node.parameter_bits for node in program) / 8)
    assert figures.near(text[2], sum(node.state_bits for node in program) / 8)
    found, dense, _ = shown.products()
    pattern = r"([\d,]+) products and ([\d,]+) sums an event, of ([\d,]+) dense products"
    text = re.fullmatch(pattern, told["operations"][0])
    assert sum(figures.number(text[n])[0] for n in (1, 2)) == pytest.approx(sum(found.values()), abs=1)
    assert figures.near(text[3], sum(dense.values()))
    for name, low, high in re.findall(r"(\w+) ([\d.,]+) to ([\d.,]+) nJ", told["energy"][0]):
        of_all = shown.counts["energy"][name]
        parts = figures.energy_of(shown, name).values()
        assert of_all["events"] == sum(len(times) for _, times in shown.samples[: shown.counts["samples"]])
        for text, end in ((low, "low"), (high, "high")):
            assert figures.near(text, sum(p[f"compute_{end}"] + p[f"memory_{end}"] for p in parts) / 1000)
    values = sum(shown.values_compared(name) for name in ("twin", "run", "step"))
    backends = told["parity"][0].partition(" values differ between ")
    assert backends[0] == f"0 of {values:,}"
    assert set(backends[2].split(", ")) == {"reference", "twin", "run", "step"}


def test_many_notes_do_not_make_it_long(small_finished, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(small_finished.folder, folder)
    text = (folder / "metrics.json").read_text()
    metrics = json.loads(text)
    metrics["quantize"]["notes"] = [f"note number {number}" for number in range(200)]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    lines = summary(folder)
    assert len(lines) <= MOST_LINES
    assert sum(name == "note" for name, _ in lines) == MOST_NOTES
    assert ("", f"{200 - MOST_NOTES} more in the log") in lines
    assert [name for name, _ in lines[-2:]] == ["report", "log"]


def test_a_folder_in_which_nothing_has_run(tmp_path):
    assert summary(tmp_path) == [("log", str(tmp_path / "run.log"))]
