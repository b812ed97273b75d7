"""Logs of training as a run folder holds them, and what is drawn of them."""

from __future__ import annotations

import pytest
from pumice.errors import PumiceError
from pumice.hw_sim.report.curves import curves, drawn

HEAD = "epoch,lr-AdamW/main,lr-AdamW/ssm,step,train/loss,validation/accuracy,validation/loss\n"
FIGURES = {"train": {"best": {"epoch": 2, "loss": 0.5, "accuracy": 0.75}}}


@pytest.fixture
def log(tmp_path):
    """``log(text, version)`` writes a log of training, and gives what is read of it."""

    def write(text, version=0, head=HEAD):
        place = tmp_path / f"logs/csv/version_{version}"
        place.mkdir(parents=True)
        (place / "metrics.csv").write_text(head + text)
        return curves(tmp_path, FIGURES)

    return write


FIRST = ",0.004,0.001,0,,,\n0,,,1,3.0,,\n0,,,3,1.0,,\n0,,,3,,0.5,1.5\n,0.008,0.002,4,,,\n1,,,5,0.75,,\n1,,,7,9.0,,\n"


def test_epochs_of_a_log(log):
    (found,) = log(FIRST)
    assert (found["phase"], found["judge"], found["kept"]) == ("training", "validation", 2)
    assert found["epochs"][0] == {"epoch": 1, "train_loss": 2.0, "loss": 1.5, "accuracy": 0.5, "rate": 0.004}
    assert found["epochs"][1] == {"epoch": 2, "train_loss": 4.875, "loss": None, "accuracy": None, "rate": 0.008}


def test_a_training_that_went_on_does_again_what_came_after_its_checkpoint(log):
    log(FIRST)
    (found,) = log(
        "1,7,0.25,,\n1,7,,0.75,0.5\n2,9,0.125,,\n", version=2, head=HEAD.replace("lr-AdamW/main,lr-AdamW/ssm,", "")
    )
    (found,) = log("2,9,0.0625,,\n", version=10, head=HEAD.replace("lr-AdamW/main,lr-AdamW/ssm,", ""))
    assert [entry["train_loss"] for entry in found["epochs"]] == [2.0, 0.5, 0.0625]
    assert [entry["accuracy"] for entry in found["epochs"]] == [0.5, 0.75, None]
    assert [entry["rate"] for entry in found["epochs"]] == [0.004, 0.008, None]


@pytest.mark.parametrize("text", ["1,2,3,four,5,6,7\n", "1,2,3,4,5,6,7,8,9\n"])
def test_what_is_no_log_is_one_sentence(log, text):
    with pytest.raises(PumiceError, match=r"metrics\.csv is no log of a training"):
        log(text)


def test_a_log_without_steps_is_one_sentence(log):
    with pytest.raises(PumiceError, match="it has no steps"):
        log("0,1.0\n", head="epoch,train/loss\n")


def test_without_a_log_nothing_is_told(tmp_path):
    assert curves(tmp_path, FIGURES) == []
    assert curves(tmp_path, {}) == []


EPOCHS = [
    {"epoch": 1, "train_loss": 8.0, "loss": 4.0, "accuracy": 0.25, "rate": 0.001},
    {"epoch": 2, "train_loss": 4.0, "loss": 2.0, "accuracy": 0.75, "rate": 0.002},
    {"epoch": 3, "train_loss": None, "loss": 3.0, "accuracy": 0.5, "rate": None},
]


def lines_of(ax):
    return {
        line.get_label(): list(zip(*line.get_data(), strict=True)) for line in ax.lines if len(line.get_xdata()) > 1
    }


def test_curves_by_epoch_and_the_epoch_that_was_kept(drawing):
    found = {"phase": "training", "judge": "validation", "kept": 2, "epochs": EPOCHS}
    (figure,) = drawing(drawn, found)
    loss, accuracy, rate = figure.axes
    assert lines_of(loss)["training"] == [(1, 8.0), (2, 4.0)]
    assert lines_of(loss)["validation"] == [(1, 4.0), (2, 2.0), (3, 3.0)]
    assert lines_of(accuracy)["validation"] == [(1, 0.25), (2, 0.75), (3, 0.5)]
    assert [(1, 0.001), (2, 0.002)] in lines_of(rate).values()
    for ax in figure.axes:
        assert set(ax.lines[0].get_xdata()) == {2}
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in loss.lines if len(line.get_xdata()) == 1] == [
        (2, 4.0),
        (2, 2.0),
    ]
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss", "accuracy", "learning rate"]


def test_losses_of_fine_tuning_are_of_two_kinds(drawing):
    entries = [{**entry, "accuracy": None} for entry in EPOCHS]
    found = {"phase": "fine-tuning", "judge": "validation", "kept": None, "epochs": entries}
    (figure,) = drawing(drawn, found)
    assert [ax.get_ylabel() for ax in figure.axes] == ["training loss", "divergence", "learning rate"]
    assert drawn({**found, "epochs": entries[:2]}) is None  # too few for a line
