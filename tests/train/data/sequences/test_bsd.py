"""Burst sequence detection against its recipe, drawn literally."""

import numpy as np
import torch
from pumice.train.data.sequences.bsd import generate_bsd
from pumice.train.data.sequences.datamodule import SequenceDataModule
from pumice.train.data.sequences.kinds import sequence_task


def literal(classes, samples, seed):
    """The recipe of the publication, one random number after the other."""
    rng = np.random.default_rng(seed)
    kinds = []
    for _ in range(classes):
        means = [rng.random() * 0.75 + 0.1 for _ in range(3)]
        kinds.append((means, rng.choice(10, 3, replace=False)))
    drawn = []
    for _ in range(samples):
        label = int(rng.integers(classes))
        means = rng.random(10) * 0.75 + 0.1
        for mean, channel in zip(*kinds[label], strict=True):
            means[channel] = mean
        spikes = np.zeros((200, 10))
        for channel in range(10):
            g = np.array([np.exp(-((0.1 * step - 20 * means[channel]) ** 2) / 0.2) for step in range(200)])
            spikes[:, channel] = rng.random(200) < g / g.max() * 0.75 + 0.05
        drawn.append((spikes, label))
    return drawn


def test_against_the_literal_recipe():
    spikes, labels = generate_bsd(classes=5, samples=30, seed=42)
    for row, (expected, label) in enumerate(literal(5, 30, 42)):
        assert labels[row] == label
        assert np.array_equal(spikes[row], expected)


def test_splits_and_blocks():
    task = sequence_task({"kind": "bsd", "name": "bsd", "samples": 200, "num_classes": 20})
    data = SequenceDataModule(task, batch_size=16)
    splits = [data.samples(split) for split in ("train", "validation", "test")]
    assert [len(samples) for samples in splits] == [140, 20, 40]
    rows = {bytes(row) for samples in splits for row in samples.inputs}
    assert rows == {bytes(row) for row in generate_bsd(20, 200, 42)[0]}
    batch = next(iter(data.train_dataloader()))
    assert batch.inputs.shape == (16, 200, 10)
    assert batch.inputs.dtype == torch.float32
    assert batch.blocks[0].tolist() == [0] * 160 + [1] * 40
    assert batch.targets.shape == (16, 2)
    assert (batch.targets[:, 0] == -1).all()
    assert data.model_inputs == {"in_features": 10}
    assert data.num_classes == len(data.class_names) == 20
