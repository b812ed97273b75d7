"""Fine-tuning on some of the training samples: which they are, and that the float model speaks of these."""

from __future__ import annotations

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.s5.build import build_s5
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.distillation.data import TaughtData
from pumice.quantize.distillation.judge import Judge
from pumice.quantize.distillation.teacher import LOGITS, TaughtBatch, Teacher
from pumice.quantize.families import prepare
from pumice.quantize.tuning import FamilyTuning
from pumice.train.data.inputs import Timing
from pumice.train.data.listed import ListedData
from small_training import small_data

FEWER = 14


@pytest.fixture(scope="module")
def data(small_set):
    return small_data(small_set, batch_size=4, eval_batch_size=6)


@pytest.fixture(scope="module")
def model():
    return build_s5({"d_model": 8, "d_ssm": 8, "stride": 4}, num_classes=20, vocab=700, seed=0).eval()


def taught(data, model, folder, **tuning):
    qat = prepare(model, QuantizationConfig(), Timing(tick_ms=0.5))
    return TaughtData(data, Judge.of_task(data), Teacher(qat, FamilyTuning(**tuning)), folder)


def rows_of(batch):
    """Each recording without its padding, and what makes it one."""
    return {tuple(row[:length]) for row, length in zip(batch.tokens.tolist(), batch.lengths.tolist(), strict=True)}


@pytest.mark.parametrize("tuning", [{}, {"loss": "labels"}, {"loss": "labels", "augmentation": True}])
def test_a_pass_takes_those_drawn_by_the_seed_and_no_others(data, model, tmp_path, tuning):
    drawn = set().union(*(rows_of(data.plain_builder("train")[key]) for key in data.drawn(FEWER)))
    assert len(drawn) == FEWER
    found = taught(data, model, tmp_path, samples=FEWER, **tuning)
    for epoch in range(2):
        loader = found.train_dataloader()
        loader.plan.set_epoch(epoch)
        seen = []
        for batch in loader:
            told = isinstance(batch, TaughtBatch)
            assert told == (tuning == {})
            plain = batch.batch if told else batch
            seen += sorted(rows_of(plain))
            if told:
                with torch.no_grad():
                    expected = plain.apply(model)[0]
                torch.testing.assert_close(batch.taught[LOGITS][:, 0], expected, rtol=1e-4, atol=1e-5)
        assert len(seen) == FEWER // 4 * 4  # whole batches
        if "augmentation" not in tuning:
            assert len(set(seen)) == len(seen)
            assert set(seen) <= drawn


def test_all_of_them_are_no_fewer(data, model, tmp_path):
    every = len(data.samples("train"))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    many, all_of_them = taught(data, model, tmp_path / "a", samples=every + 5), taught(data, model, tmp_path / "b")
    for one, other in zip(many.train_dataloader(), all_of_them.train_dataloader(), strict=True):
        assert torch.equal(one.batch.tokens, other.batch.tokens)
        assert torch.equal(one.taught[LOGITS], other.taught[LOGITS])


def test_batches_at_hand_are_all_taken(data, model, tmp_path):
    listed = ListedData(list(Judge.of_task(data)), [], 20)
    qat = prepare(model, QuantizationConfig(), Timing(tick_ms=0.5))
    with pytest.raises(PumiceError, match=r"^quantize\.qat\.samples draws from a task's data; give fewer batches"):
        TaughtData(listed, Judge.of_task(data), Teacher(qat, FamilyTuning(samples=3)), tmp_path)
