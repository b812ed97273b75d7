"""Figures that contradict themselves are not written."""

import copy
import json
import re

import numpy as np
import pytest
from pumice.cli.main import main
from pumice.errors import FiguresError
from pumice.stages import evaluate
from pumice.stages.invariants import check_apart, check_figures, check_labels
from pumice.train.data.base import TaskDataModule
from pumice.train.evaluate import Predictions, figures_of

LABELS = np.array([0, 0, 1, 1, 1, 2, 2])
NAMES = ("a", "b", "c", "d")  # nothing is of class d


def entry(seed=0, labels=LABELS):
    return figures_of(Predictions(np.random.default_rng(seed).normal(size=(len(labels), 4)), labels), NAMES)


def test_figures_as_they_are_made_pass():
    check_figures({"float": {"validation": entry(), "test": entry(1)}, "chosen": "ptq", "ptq": {"test": entry(2)}})
    check_labels("test", entry(), LABELS)
    for right in (0, 7):  # an interval ends at 0 or 1
        logits = np.eye(4)[(LABELS + (right == 0)) % 4]
        check_figures({"test": figures_of(Predictions(logits, LABELS), NAMES)})


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("samples", 8, "accuracy"),
        ("correct", 3, "accuracy"),
        ("correct", -1, "-1 of 7 are correct"),
        ("accuracy", 0.9, "accuracy 0.9 is not"),
        ("accuracy_95", [0.6, 0.9], "outside its interval"),
        ("accuracy_95", [0.0, 1.0], "bounds no 95 % interval"),
        ("loss", float("nan"), "the loss is nan"),
        ("loss", -0.1, "the loss is -0.1"),
        ("accuracy_by_class", dict.fromkeys(NAMES, 0.5), "by class"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(key, value, sentence):
    with pytest.raises(FiguresError, match=rf"figures of ptq\.test contradict themselves: .*{re.escape(sentence)}"):
        check_figures({"ptq": {"test": entry() | {key: value}}})


def test_a_matrix_of_other_samples_is_refused():
    figures = entry()
    more, moved = copy.deepcopy(figures), copy.deepcopy(figures)
    more["confusion"][0][0] += 1
    with pytest.raises(FiguresError, match="does not hold 7 samples"):
        check_figures({"test": more})
    row = next(row for row in range(4) if moved["confusion"][row][row])
    moved["confusion"][row][row] -= 1
    moved["confusion"][row][(row + 1) % 4] += 1
    with pytest.raises(FiguresError, match="on its diagonal"):
        check_figures({"test": moved})
    turned = figures | {"confusion": np.transpose(figures["confusion"]).tolist()}
    with pytest.raises(FiguresError, match="by class"):
        check_figures({"test": turned})
    with pytest.raises(FiguresError, match="samples by class"):
        check_labels("test", figures, np.sort(LABELS)[::-1] % 2)


def test_models_are_measured_on_the_same_samples():
    other = np.array([0, 0, 0, 1, 1, 2, 2])
    with pytest.raises(FiguresError, match=r"ptq\.test .* those of float\.test"):
        check_figures({"float": {"test": entry()}, "ptq": {"test": entry(labels=other)}})
    by_beat = {"other_protocols": {"by beat": {"test": entry(labels=other)}}}  # other decisions, and rightly so
    check_figures({"float": {"test": entry(), **by_beat}})


def test_the_interval_of_another_count_is_refused():
    figures = entry()
    for share in (10, 0.1):
        wider = figures["correct"] * share, 7 * share
        z2 = 1.96**2
        p, n = figures["accuracy"], wider[1]
        half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        with pytest.raises(FiguresError, match="95 % interval"):
            check_figures({"test": figures | {"accuracy_95": [centre - half, centre + half]}})


def test_validation_made_of_test_samples_is_refused():
    def samples(*seeds):
        return [(np.random.default_rng(seed).integers(0, 9, 5), np.arange(5)) for seed in seeds]

    assert check_apart("shd", samples(1, 2, 3), samples(4, 5)) is None
    assert check_apart("shd", samples(1, 2, 3), samples(3, 4)).startswith("1 of 3 validation samples of shd are test")
    for validation in (samples(1, 2), samples(2, 1, 5)):
        with pytest.raises(FiguresError, match="validation samples of shd are test samples as well"):
            check_apart("shd", validation, samples(1, 2, 3))


def test_a_run_whose_validation_is_its_test_set_ends_with_a_sentence(small_run, tmp_path, monkeypatch, capsys):
    run = [*small_run, "training.epochs=1", "logging.progress=false", f"run_dir={tmp_path}"]

    def call(verb, *more):
        with pytest.raises(SystemExit) as ended:
            main([verb, *run, *more])
        return ended.value.code

    assert call("train") == 0
    assert call("evaluate") == 0
    figures = json.loads((tmp_path / "metrics.json").read_text())["evaluate"]
    assert (figures["validation"]["samples"], figures["test"]["samples"]) == (20, 40)

    right = TaskDataModule.samples
    with monkeypatch.context() as patch:
        patch.setattr(TaskDataModule, "samples", lambda self, split: right(self, split.replace("validation", "test")))
        assert call("evaluate", "redo=[evaluate]") == 1
    assert "40 of 40 validation samples of" in capsys.readouterr().err

    def swapped(predictions, names):
        return figures_of(Predictions(predictions.logits, predictions.labels[::-1] // 2), names)

    monkeypatch.setattr(evaluate, "figures_of", swapped)
    assert call("evaluate", "redo=[evaluate]") == 1
    assert "contradict themselves" in capsys.readouterr().err
