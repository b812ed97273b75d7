import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pumice.train.data.events.batch import EventBatch
from pumice.train.evaluate import Predictions, figures_of, predict, top_figures, wilson_interval
from pumice.train.module import task_loss
from scipy.stats import binomtest


@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_interval_agrees_with_scipy(counts):
    correct, total = counts
    expected = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct, total) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_figures_against_plain_loops():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 4)).astype(np.float32)
    labels = rng.integers(0, 3, 200)  # class 3 does not occur
    figures = figures_of(Predictions(logits, labels), ["a", "b", "c", "d"])
    confusion = np.zeros((4, 4), int)
    loss = 0.0
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        confusion[label, row.argmax()] += 1
        loss += np.log(np.exp(row).sum()) - row[label]
    assert figures["confusion"] == confusion.tolist()
    assert figures["correct"] == np.trace(confusion)
    assert figures["accuracy"] == np.trace(confusion) / 200
    interval = binomtest(int(np.trace(confusion)), 200).proportion_ci(0.95, method="wilson")
    assert figures["accuracy_95"] == pytest.approx([interval.low, interval.high])
    assert figures["loss"] == pytest.approx(loss / 200, rel=1e-5)
    assert figures["accuracy_by_class"]["b"] == confusion[1, 1] / confusion[1].sum()
    assert figures["accuracy_by_class"]["d"] is None


class FixedLogits(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = torch.nn.Dropout(0.9)

    def forward(self, tokens, dt, lengths, pool_dt):
        return self.dropout(torch.stack([lengths.float(), -lengths.float(), dt.sum(1)], dim=1))


def batch_of(lengths, targets):
    lengths = torch.tensor(lengths)
    size = len(lengths)
    dt = torch.ones(size, 4)
    return EventBatch(torch.zeros(size, 4, dtype=torch.int64), dt, dt, lengths, targets)


def test_predict_keeps_order_and_switches_dropout_off():
    batches = [batch_of([1, 2], torch.eye(3)[:2]), batch_of([3], torch.eye(3)[2:])]
    predictions = predict(FixedLogits().train(), batches)
    assert predictions.logits.dtype == np.float32
    np.testing.assert_array_equal(predictions.logits, [[1, -1, 4], [2, -2, 4], [3, -3, 4]])
    np.testing.assert_array_equal(predictions.labels, [0, 1, 2])


def test_loss_against_a_plain_loop():
    targets = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.5, 0.5]])
    batch = batch_of([1, 2], targets)
    logits = np.array([[1.0, -1.0, 4.0], [2.0, -2.0, 4.0]])
    log_softmax = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -(targets.numpy() * log_softmax).sum(1).mean()
    assert task_loss(*batch.apply(FixedLogits().eval())).item() == pytest.approx(expected, rel=1e-5)


def test_top_k_and_the_mean_of_batch_means():
    logits = np.array([[3, 2, 1, 0], [0, 0, 0, 0], [0, 1, 2, 3], [9, 1, 0, 8], [1, 5, 4, 0]], dtype=np.float32)
    found = top_figures(Predictions(logits, np.array([0, 1, 0, 3, 2])), 2)
    assert found["top"] == {"2": 4 / 5, "3": 4 / 5}  # ranks 0, 1 (a tie), 3, 1, 1
    assert found["batches"] == {"size": 2, "mean_of_means": pytest.approx((1 / 2 + 0 + 0) / 3)}
