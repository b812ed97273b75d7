"""Calibrated or fine-tuned: the one nearer to the float model, on samples that are no test, and by nothing else."""

from __future__ import annotations

import numpy as np
import pumice
import pytest
import torch
from pumice.api import candidates
from pumice.api import quantize as api_quantize
from pumice.api.quantize import CALIBRATED, TUNED
from pumice.models.s5.build import build_s5
from pumice.quantize.distillation.judge import Judge
from pumice.train.data.base import TaskDataModule
from pumice.train.data.events.datamodule import EventDataModule
from pumice.train.data.task import task_config
from pumice.train.evaluate import Predictions
from small_training import small_data

UNCORRECTED = {"bias": None}
EPOCH = {"qat": {"epochs": 1}, "calibration": UNCORRECTED}
FLOAT = np.eye(4)[np.arange(10) % 4] * 2.0


def scripted(away, right=True):
    """Predictions whose logits are so far from the float model's; all of them right, or all wrong."""
    return Predictions(FLOAT + away * np.roll(np.eye(4), 1, 1)[np.arange(10) % 4], (np.arange(10) + (not right)) % 4)


@pytest.fixture
def choose(fresh, monkeypatch):
    """What is chosen of what three models are made to say; nothing is trained."""

    def run(covering, squared, tuned):
        said = iter((covering, Predictions(FLOAT, covering.labels), squared, tuned))
        monkeypatch.setattr(candidates, "predictions", lambda model, batches: next(said))

        def fine_tune(qat, *_):
            tuned_from.append(qat.config.calibration.method)
            with torch.no_grad():
                for parameter in qat.parameters():
                    parameter.mul_(0.9)
            qat.eval()
            return {"epoch": 1, "kl": 0.0}

        tuned_from = []
        monkeypatch.setattr(api_quantize, "_fine_tune", fine_tune)
        batches = pumice.make_batches(fresh.model, fresh.samples, fresh.labels)
        return pumice.quantize(fresh.model, batches, EPOCH, fine_tune=True, provenance={}), *tuned_from

    return run


@pytest.mark.parametrize(
    ("covering", "squared", "tuned", "method", "chosen"),
    [
        (scripted(0.3), scripted(0.2), scripted(0.1), "mse", TUNED),
        (scripted(0.2), scripted(0.3), scripted(0.1), "max", TUNED),
        (scripted(0.2), scripted(0.1), scripted(0.3), "mse", CALIBRATED),
        (scripted(0.1), scripted(0.3), scripted(0.2), "max", CALIBRATED),
        (scripted(0.3), scripted(0.2), scripted(0.1, right=False), "mse", TUNED),  # accuracy does not choose
        (scripted(0.3), scripted(0.2), scripted(0.2), "mse", CALIBRATED),  # nothing was gained
    ],
)
def test_the_nearest_to_the_float_model(choose, fresh, covering, squared, tuned, method, chosen):
    done, tuned_from = choose(covering, squared, tuned)
    assert (done.chosen, tuned_from) == (chosen, method)
    kept = covering if method == "max" else squared
    assert done.judged == {CALIBRATED: kept, TUNED: tuned}
    assert done.program.provenance["method"] == chosen
    assert done.frozen is done.candidates[chosen]
    assert done.choice.chosen == ("fine-tuned, epoch 1" if chosen == TUNED else f"calibrated ({method})")
    untuned = pumice.quantize(fresh.model, fresh.samples, {"calibration": UNCORRECTED | {"method": method}}).program
    assert codes(done.program.nodes) == codes(done.frozen.nodes())
    assert (codes(done.program.nodes) == codes(untuned.nodes)) == (chosen == CALIBRATED)


def codes(nodes):
    """All that nodes hold."""
    return {(node.name, each.name): each.codes.tolist() for node in nodes for each in node.tensors()}


def test_figures_of_the_candidates(choose):
    done, _ = choose(scripted(0.3), scripted(0.2), scripted(0.1))
    covering, squared, tuned = done.choice.candidates
    assert [one["candidate"] for one in done.choice.candidates] == [
        "calibrated (max)",
        "calibrated (mse)",
        "fine-tuned, epoch 1",
    ]
    assert (done.choice.by, done.choice.decisions) == ("training", 10)  # batches at hand choose for themselves
    for one, away in ((covering, 0.3), (squared, 0.2), (tuned, 0.1)):
        said = np.exp(scripted(away).logits[0])
        right = np.exp(FLOAT[0])
        said, right = said / said.sum(), right / right.sum()
        assert one["kl"] == pytest.approx((right * np.log(right / said)).sum())
        assert one["sqnr_db"] == pytest.approx(20 * np.log10(2.0 / away), abs=0.01)
        assert one["same_class"] == 10
    assert done.choice.sentence().startswith("fine-tuned, epoch 1 diverges least from the float model on the 10")


def test_mean_errors_are_taken_out_of_calibrated_and_of_tuned(fresh, monkeypatch):
    """Each is a candidate; fine-tuning begins without, as the float model it holds then teaches."""
    if fresh.family == "adlif":  # no logits of a network of neurons are linear in a bias
        done = pumice.quantize(fresh.model, fresh.samples, {"calibration": {"method": "max"}})
        assert done.choice.sentence() == "calibrated (max), the only candidate"
        return
    biases = []

    def fine_tune(qat, *_):
        biases.append(qat.model.decoder.bias.detach().clone())
        with torch.no_grad():
            qat.model.decoder.bias += 0.5  # a mean error, and nothing else
        qat.eval()
        return {"epoch": 1, "kl": 0.0}

    monkeypatch.setattr(api_quantize, "_fine_tune", fine_tune)
    batches = pumice.make_batches(fresh.model, fresh.samples, fresh.labels)
    settings = {"qat": {"epochs": 1}, "calibration": {"method": "max"}}
    done = pumice.quantize(fresh.model, batches, settings, fine_tune=True, provenance={})
    plain, corrected, tuned, mended = done.choice.candidates
    labels = [one["candidate"] for one in done.choice.candidates]
    assert labels[1::2] == [f"{label}, bias corrected" for label in labels[0::2]]
    assert labels[0::2] == ["calibrated (max)", "fine-tuned, epoch 1"]
    assert torch.equal(biases[0], fresh.model.decoder.bias)
    assert tuned["sqnr_db"] < plain["sqnr_db"] <= corrected["sqnr_db"]
    assert mended["sqnr_db"] == pytest.approx(corrected["sqnr_db"], abs=0.3)
    far = {one["candidate"]: one["kl"] for one in done.choice.candidates}
    assert done.choice.chosen == min(far, key=far.get)


def test_one_candidate_needs_no_judge(fresh, monkeypatch):
    monkeypatch.setattr(candidates, "predictions", None)
    done = pumice.quantize(fresh.model, fresh.samples, {"calibration": UNCORRECTED | {"method": "max"}})
    assert done.choice.figures()["by"] is None
    assert done.choice.sentence() == "calibrated (max), the only candidate"


def test_calibrated_on_training_and_chosen_by_validation(small_set, monkeypatch):
    """The splits tell themselves apart by their sizes: 80, 20 and 40 recordings."""
    asked, right = [], TaskDataModule.batches

    def look(self, split, *more):
        asked.append(split)
        return right(self, split, *more)

    monkeypatch.setattr(TaskDataModule, "batches", look)
    monkeypatch.setattr(api_quantize, "_fine_tune", lambda qat, *given: tuned_on.append(given[:2]) or {"epoch": 1})
    tuned_on = []
    data = small_data(small_set)
    model = build_s5({"d_model": 8, "d_ssm": 8, "stride": 4}, num_classes=20, vocab=700, seed=0)
    done = pumice.quantize(model, data, EPOCH, fine_tune=True)
    assert asked == ["train"]
    ((trained_on, judge),) = tuned_on
    assert trained_on is data
    assert (judge.name, sum(len(batch.lengths) for batch in judge)) == ("validation", 20)
    assert {len(data.samples(split)) for split in ("train", "validation", "test")} == {80, 20, 40}
    for said in done.judged.values():
        np.testing.assert_array_equal(said.labels, data.labels("validation"))


@pytest.mark.parametrize("select_on", ["none", "test"])
def test_training_samples_choose_where_nothing_is_held_out(small_set, select_on):
    task = {"name": "small", "source": "spoken-digits", "root": str(small_set), "num_classes": 20, "sensor": [700]}
    data = EventDataModule(task_config(task | {"select_on": select_on}), batch_size=8, eval_batch_size=40)
    judge = Judge.of_task(data)
    labels = np.concatenate([batch.targets.argmax(1).numpy() for batch in judge])
    assert (judge.name, len(judge)) == ("training", 3)
    assert sorted(labels) == sorted(data.labels("train"))


def test_few_validation_samples_may_choose(small_set):
    """Always the same of them, and none twice."""
    task = {"name": "small", "source": "spoken-digits", "root": str(small_set), "num_classes": 20, "sensor": [700]}
    task |= {"validation": {"fraction": 0.2}}
    data = EventDataModule(task_config(task), batch_size=8, eval_batch_size=4)
    everyone = [tuple(row) for batch in Judge.of_task(data) for row in batch.tokens.tolist()]
    few = [tuple(row) for batch in Judge.of_task(data, 7) for row in batch.tokens.tolist()]
    again = [tuple(row) for batch in Judge.of_task(data, 7) for row in batch.tokens.tolist()]
    assert (Judge.of_task(data, 7).name, len(few), len(everyone)) == ("validation", 7, len(data.labels("validation")))
    assert few == again
    starts = [row[:20] for row in everyone]
    assert all(row[:20] in starts for row in few)
    assert len({row[:20] for row in few}) == 7
