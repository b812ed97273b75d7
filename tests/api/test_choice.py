"""Calibrated or fine-tuned: the better one by validation, and by nothing else."""

from __future__ import annotations

import numpy as np
import pumice
import pytest
import torch
from pumice.api import quantize as api_quantize
from pumice.api.quantize import CALIBRATED, TUNED
from pumice.models.s5.build import build_s5
from pumice.train.data.base import TaskDataModule
from pumice.train.data.events.datamodule import EventDataModule
from pumice.train.data.task import task_config
from pumice.train.evaluate import Predictions

RIGHT, WRONG = 4.0, -4.0
EPOCH = {"qat": {"epochs": 1}}


def scripted(accuracy, margin=RIGHT, count=10):
    """Predictions of so many right decisions out of ten, by a margin."""
    labels = np.arange(count) % 4
    said = np.where(np.arange(count) < round(accuracy * count), labels, (labels + 1) % 4)
    return Predictions(margin * np.eye(4)[said], labels)


def codes(nodes):
    """All that nodes hold."""
    return {(node.name, each.name): each.codes.tolist() for node in nodes for each in node.tensors()}


@pytest.fixture
def choose(fresh, monkeypatch):
    """What is chosen of what both models are made to say; nothing is trained."""

    def run(calibrated, tuned):
        said = iter((calibrated, tuned))
        monkeypatch.setattr(api_quantize, "predictions", lambda model, batches: next(said))

        def fine_tune(qat, *_):
            with torch.no_grad():
                for parameter in qat.parameters():
                    parameter.mul_(0.9)
            qat.eval()
            return {"epoch": 1, "loss": 0.0}

        monkeypatch.setattr(api_quantize, "_fine_tune", fine_tune)
        batches = pumice.make_batches(fresh.model, fresh.samples, fresh.labels)
        return pumice.quantize(fresh.model, batches, EPOCH, fine_tune=True, provenance={})

    return run


@pytest.mark.parametrize(
    ("calibrated", "tuned", "chosen"),
    [
        (scripted(0.6), scripted(0.7), TUNED),
        (scripted(0.7), scripted(0.6), CALIBRATED),
        (scripted(0.8, margin=1.0), scripted(0.8, margin=2.0), TUNED),  # surer of what is right: a lower loss
        (scripted(0.8, margin=2.0), scripted(0.8, margin=1.0), CALIBRATED),
        (scripted(0.8), scripted(0.8), TUNED),
    ],
)
def test_the_better_one_by_accuracy_then_by_loss(choose, fresh, calibrated, tuned, chosen):
    done = choose(calibrated, tuned)
    assert done.chosen == chosen
    assert done.validation == {CALIBRATED: calibrated, TUNED: tuned}
    assert done.program.provenance["method"] == chosen
    assert done.frozen is done.candidates[chosen]
    untuned = pumice.quantize(fresh.model, fresh.samples, EPOCH).program
    assert codes(done.program.nodes) == codes(done.frozen.nodes())
    assert (codes(done.program.nodes) == codes(untuned.nodes)) == (chosen == CALIBRATED)


def test_calibrated_on_training_and_chosen_by_validation(small_set, monkeypatch):
    """The splits tell themselves apart by their sizes: 80, 20 and 40 recordings."""
    asked, right = [], TaskDataModule.batches

    def look(self, split, *more):
        asked.append(split)
        return right(self, split, *more)

    monkeypatch.setattr(TaskDataModule, "batches", look)
    monkeypatch.setattr(api_quantize, "_fine_tune", lambda qat, data, *_: tuned_on.append(data) or {"epoch": 1})
    tuned_on = []
    task = {
        "name": "small",
        "source": "spoken-digits",
        "root": str(small_set),
        "num_classes": 20,
        "sensor": [700],
        "pad_unit": 16,
        "validation": {"by": "speaker", "fraction": 0.2},
    }
    data = EventDataModule(task_config(task), batch_size=8, eval_batch_size=40)
    model = build_s5({"d_model": 8, "d_ssm": 8, "stride": 4}, num_classes=20, vocab=700, seed=0)
    done = pumice.quantize(model, data, EPOCH, fine_tune=True)
    assert asked == ["train", "validation", "validation"]
    assert tuned_on == [data]
    assert {len(data.samples(split)) for split in ("train", "validation", "test")} == {80, 20, 40}
    for said in done.validation.values():
        np.testing.assert_array_equal(said.labels, data.labels("validation"))
