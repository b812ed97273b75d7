"""Decisions of programs: on the test set, by the scores of the very samples that were chosen."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pumice.program.formats import Format
from pumice.program.nodes import SPIKES
from pumice.stages.decisions import EventTest, SequenceTest
from pumice.stages.quantize import agreement
from pumice.train.data.sequences.batch import IGNORED, BlockBatch
from pumice.train.evaluate import Predictions

SIZES = {"validation": 3, "test": 5}


class Splits:
    """Splits that tell themselves apart: labels of test count from 0, those of validation from 10."""

    def labels(self, split):
        return np.arange(SIZES[split]) + (0 if split == "test" else 10)

    def program_samples(self, split):
        return [(np.array([label]), np.array([0])) for label in self.labels(split)]


def test_events_are_decided_by_the_logits_of_the_test_set():
    tests = EventTest(Splits())
    assert [int(values[0]) for values, _ in tests.samples] == [0, 1, 2, 3, 4]
    assert tests.labels().tolist() == [0, 1, 2, 3, 4]
    assert tests.labels([4, 1]).tolist() == [4, 1]
    node = SimpleNamespace(output=Format(16, True, 3))
    traces = [SimpleNamespace(logits=np.array([8, -4])), SimpleNamespace(logits=np.array([0, 2]))]

    class Program(SimpleNamespace):
        def __getitem__(self, name):
            return node

    assert tests.scores(Program(logits="decoder"), traces).tolist() == [[1.0, -0.5], [0.0, 0.25]]


@pytest.mark.parametrize("output", [Format(16, True, 2), SPIKES], ids=["potentials", "spikes"])
def test_sequences_are_decided_a_labelled_block_at_a_time(output):
    rng = np.random.default_rng(0)
    blocks = [np.array([0, 1, 1, 2, 0]), np.array([0, 0, 1, 1, 1]), np.array([2, 1, 0, 1, 2])]
    targets = [[IGNORED, 1, 2], [IGNORED, 0, IGNORED], [IGNORED, 2, 0]]
    batches = [
        BlockBatch(torch.zeros(1, 5, 4), torch.tensor(b)[None], torch.tensor([t]), torch.tensor([5]))
        for b, t in zip(blocks, targets, strict=True)
    ]

    class Set:
        def __len__(self):
            return 3

        def batch(self, rows, streams):
            return batches[rows[0]]

    class Program(SimpleNamespace):
        def __getitem__(self, name):
            return SimpleNamespace(output=output)

    data = SimpleNamespace(test_dataset=Set(), program_samples=lambda split: [split] * 3)
    tests = SequenceTest(data, "softmax")
    assert tests.samples == ["test"] * 3
    assert tests.labels().tolist() == [1, 2, 0, 2, 0]
    assert tests.labels([2, 1]).tolist() == [2, 0, 0]
    chosen = [2, 0]
    series = [rng.integers(0, 2 if output == SPIKES else 9, (5, 3)) for _ in chosen]
    found = tests.scores(
        Program(series="readout", rates={"readout": 1}), [SimpleNamespace(series=rows) for rows in series], chosen
    )
    expected = []
    for number, rows in zip(chosen, series, strict=True):
        values = rows * 2.0**-output.frac
        soft = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
        for block, target in enumerate(targets[number]):
            if target != IGNORED:
                steps = blocks[number] == block
                expected.append(values[steps].mean(0) if output == SPIKES else soft[steps].sum(0))
    np.testing.assert_allclose(found, expected)


def test_what_integers_lose_and_win_against_the_float_model():
    labels = np.array([0, 1, 2, 0, 1])
    floats = np.eye(3)[[0, 1, 0, 0, 2]] * 4.0
    integers = np.eye(3)[[0, 2, 2, 0, 2]] * 3.0  # loses sample 1, wins sample 2
    found = agreement(Predictions(integers, labels), Predictions(floats, labels))
    noise = ((integers - floats) ** 2).sum()
    assert found == {
        "sqnr_db": pytest.approx(10 * np.log10((floats**2).sum() / noise), abs=0.01),
        "same_class": 3,
        "only_float_right": 1,
        "only_integer_right": 1,
        "mcnemar_p": 1.0,
    }
    more = integers.copy()
    more[0] = [0, 9, 0]  # and loses sample 0
    assert agreement(Predictions(more, labels), Predictions(floats, labels))["only_float_right"] == 2
