"""Events in bins against tonic, blocks, padding, and the embedded digits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.train.data.recordings import make_events
from pumice.train.data.sequences.batch import LabelledSequence, collate_blocks
from pumice.train.data.sequences.binned import bin_events
from pumice.train.data.sequences.datamodule import SequenceDataModule
from pumice.train.data.sequences.kinds import sequence_task
from pumice.train.data.sources.shd_layout import ShdRecordings
from tonic.transforms import ToFrame


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 699)), min_size=1, max_size=80))
def test_bins_agree_with_tonic(pairs):
    pairs.sort()
    t, x = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    coarse = np.zeros(len(t), dtype=[("t", int), ("x", int), ("p", int)])
    coarse["t"], coarse["x"] = t // 1000, x // 5
    frames = ToFrame(sensor_size=(140, 1, 1), time_window=4)(coarse)
    assert np.array_equal(bin_events(make_events(t, x), 700, 5, 4), frames.reshape(len(frames), 140))


def test_no_event_is_one_empty_bin():
    none = np.array([], dtype=np.int64)
    assert np.array_equal(bin_events(make_events(none, none), 20, 5, 4), np.zeros((1, 4)))


def test_collate_pads_with_the_ignored_block():
    one = LabelledSequence(np.ones((3, 2), np.float32), np.array([0, 1, 2]), np.array([-1, 4, 5]))
    two = LabelledSequence(np.full((5, 2), 2, np.float32), np.array([0, 1, 1, 1, 1]), np.array([-1, 3]))
    batch = collate_blocks([one, two])
    assert batch.blocks.tolist() == [[0, 1, 2, 0, 0], [0, 1, 1, 1, 1]]
    assert batch.targets.tolist() == [[-1, 4, 5], [-1, 3, -1]]
    assert batch.lengths.tolist() == [3, 5]
    assert batch.inputs[0].sum() == 6
    logits, targets = batch.apply(lambda x, blocks, count: torch.arange(2 * count).reshape(2, count, 1))
    assert targets.tolist() == [4, 5, 3]
    assert logits.flatten().tolist() == [1, 2, 4]


BINNED = {"kind": "binned", "name": "digits", "source": "spoken-digits", "num_classes": 20, "channels": 700}


def test_embedded_digits():
    task = sequence_task(BINNED | {"validation": {"by": "speaker", "fraction": 0.1}})
    data = SequenceDataModule(task, eval_batch_size=4)
    batch = next(iter(data.batches("test")))
    recordings = task.open("test")._recordings
    for row in range(4):
        events = recordings.events(row)
        duration = int(events["t"][-1] // 1000 - events["t"][0] // 1000)
        counted = events["t"] // 1000 < events["t"][0] // 1000 + duration // 4 * 4
        assert batch.inputs[row].sum() == counted.sum()
        assert batch.lengths[row] == max(250, duration // 4)
        steps = int(batch.lengths[row])
        assert batch.blocks[row, :steps].tolist() == [0] * 10 + [1] * (steps - 10)
        assert batch.targets[row].tolist() == [-1, recordings.labels[row]]
    held, kept = (set(data.samples(split).speakers.tolist()) for split in ("validation", "train"))
    assert held
    assert not held & kept


def test_augmentation_is_seeded_and_for_training_alone():
    task = sequence_task(BINNED | {"augmentation": {"drop_event": {"p": 0.5}}})
    totals = []
    for seed in (0, 0, 1):
        data = SequenceDataModule(task, batch_size=4, seed=seed)
        builder = data._builder(data.train_dataset, True)
        key = data.train_dataloader().plan
        first = next(iter(key))._replace(samples=(1, 2, 3))
        totals.append(builder[first].inputs.sum(dim=(1, 2)).tolist())
    assert totals[0] == totals[1] != totals[2]
    plain = data._builder(data.train_dataset, False)[first].inputs.sum(dim=(1, 2))
    assert (torch.tensor(totals[0]) < 0.7 * plain).all()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"group": 3}, r"task\.channels=700"),
        ({"bin_ms": 0}, r"task\.bin_ms=0"),
        ({"ignored_bins": 250}, r"task\.ignored_bins=250"),
        ({"kind": "bins"}, r"task\.kind=bins"),
        ({"wings": 2}, r"task\.wings"),
        ({"select_on": "luck"}, r"task\.select_on=luck"),
        ({"augmentation": {"fly": {}}}, r"task\.augmentation\.fly"),
    ],
)
def test_bad_settings(change, part):
    with pytest.raises(PumiceError, match=part):
        sequence_task(BINNED | change)


def test_a_source_without_a_validation_split():
    data = SequenceDataModule(sequence_task(BINNED | {"validation": {"by": "own"}}))
    with pytest.raises(PumiceError, match=r"validation\.by=own"):
        data.samples("train")


def test_shd_files(shd_root):
    values = {"source": "shd", "root": str(shd_root), "validation": {"by": "sample", "fraction": 0.2}}
    data = SequenceDataModule(sequence_task(BINNED | values))
    assert [len(data.samples(split)) for split in ("train", "validation", "test")] == [48, 12, 21]
    events = ShdRecordings(shd_root / "SHD" / "shd_train.h5", 700, 20)
    train, held = data.samples("train"), data.samples("validation")
    assert sorted([*train._chosen, *held._chosen]) == list(range(60))
    for rows in (train, held):  # each recording keeps its own events and label
        batch = rows.batch(range(len(rows)), None)
        assert batch.targets[:, 1].tolist() == events.labels[rows._chosen].tolist()
        for row, recording in enumerate(rows._chosen[:5].tolist()):
            counts = bin_events(events.events(recording), 700, 5, 4)
            np.testing.assert_array_equal(batch.inputs[row, : len(counts)], counts)
