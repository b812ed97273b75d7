"""MNIST from small files in the published format."""

import gzip
import math
import struct

import numpy as np
import pytest
from pumice.api.data import load_data
from pumice.errors import PumiceError
from pumice.train.data.images import idx
from pumice.train.data.images.task import bit_reversal

COUNTS = {"train": 40, "t10k": 7}


def idx_bytes(values):
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def digits(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), (np.arange(count) % 10).astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    for prefix, count in COUNTS.items():
        images, labels = digits(count, count)
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    return tmp_path


def data(root, task="smnist", **changes):
    return load_data(task, root=str(root), batch_size=4, **changes)


def test_pixels_labels_and_splits(root):
    found = data(root)
    assert (found.num_classes, found.model_inputs) == (10, {"in_features": 1})
    assert [len(found.samples(split)) for split in ("train", "validation", "test")] == [36, 4, 7]
    images, labels = digits(7, 7)
    (batch,) = found.batches("test", 7)
    np.testing.assert_allclose(batch.inputs[..., 0], images.reshape(7, 784) / 255, atol=1e-7)
    assert batch.targets[:, 1].tolist() == labels.tolist() == found.labels("test").tolist()
    assert batch.targets[:, 0].tolist() == [-1] * 7
    assert batch.blocks.unique().tolist() == [1]
    assert batch.lengths.tolist() == [784] * 7
    values, times = found.program_samples("test", 1)[0]
    assert values.shape == (784, 1)
    assert times[:3].tolist() == [0, 1000, 2000]


def test_validation_images_are_no_training_images(root):
    found = data(root)
    images = [{bytes(row) for row in found.samples(split).pixels} for split in ("train", "validation")]
    assert not images[0] & images[1]
    assert images[0] | images[1] == {bytes(image.reshape(-1)) for image in digits(40, 40)[0]}
    other = data(root, validation={"by": "sample", "fraction": 0.1, "seed": 1})
    assert not np.array_equal(other.val_dataset.pixels, found.val_dataset.pixels)


def test_the_permuted_task_is_the_published_bit_reversal(root):
    def published(n):
        m = math.ceil(math.log(n) / math.log(2))
        perm = np.arange(1 << m).reshape(-1, 1)
        for _ in range(m):
            half = len(perm) // 2
            perm = np.hstack((perm[:half], perm[half:]))
        perm = perm.squeeze(0)
        return np.extract(perm < n, perm)

    for length in (1, 2, 8, 100, 784):
        assert bit_reversal(length).tolist() == published(length).tolist() if length > 1 else [0]
    rows, permuted = data(root).test_dataset.pixels, data(root, "psmnist").test_dataset.pixels
    assert np.array_equal(permuted, rows[:, published(784)])


def test_files_unpacked_and_in_torchvisions_folder(root):
    expected = data(root).test_dataset.pixels
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for path in root.glob("*.gz"):
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert np.array_equal(data(root).test_dataset.pixels, expected)


def test_missing_files_are_a_sentence(tmp_path):
    with pytest.raises(PumiceError, match=r"train-images-idx3-ubyte\.gz does not exist; set task\.root"):
        data(tmp_path).samples("train")
    with pytest.raises(PumiceError, match="task smnist is not embedded"):
        load_data("smnist").samples("test")
    with pytest.raises(PumiceError, match=r"task\.order=columns"):
        load_data("smnist", order="columns")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"no gzip", "cannot be read"),
        (gzip.compress(b"\x00" * 40), "no IDX file"),
        (gzip.compress(idx_bytes(np.zeros((7, 28, 28), np.uint8)))[:-9], "cannot be read"),
        (gzip.compress(idx_bytes(np.zeros((7, 28, 28), np.uint8))[:-1]), "holds 5,487 bytes"),
        (gzip.compress(idx_bytes(np.zeros((6, 28, 28), np.uint8))), "as many labels as images"),
        (gzip.compress(idx_bytes(np.zeros((7, 27, 28), np.uint8))), "28 x 28"),
        (gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 2**31, 2**31)), "declares"),
    ],
    ids=["no gzip", "no IDX", "cut", "a byte short", "fewer images", "other sides", "huge"],  # gzip writes the time
)
def test_damaged_images_are_a_sentence(root, content, part):
    (root / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(PumiceError, match=part):
        data(root).samples("test")


def test_a_file_that_unpacks_to_too_much_is_refused(root, monkeypatch):
    monkeypatch.setattr(idx, "MOST_BYTES", 1000)
    with pytest.raises(PumiceError, match="more than 1,000 bytes"):
        data(root).samples("test")


def test_labels_beyond_the_classes_are_refused(root):
    labels = np.full(7, 10, np.uint8)
    (root / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    with pytest.raises(PumiceError, match="holds the label 10"):
        data(root).samples("test")


def test_steps_as_events(root):
    """What a model of events reads: the same values a millisecond apart, and the same classes."""
    steps, events = data(root), data(root, reads="events")
    (block,), (batch,) = steps.batches("test", 7), events.batches("test", 7)
    assert (events.kind, events.timing.tick_ms, events.model_inputs) == ("events", 1.0, {"in_features": 1})
    np.testing.assert_array_equal(batch.tokens, block.inputs)
    assert batch.dt[:, 0].tolist() == [0] * 7
    assert batch.dt[:, 1:].unique().tolist() == [1.0]
    assert batch.pool_dt.equal(batch.dt)
    assert batch.targets.sum(1).tolist() == [1] * 7
    assert batch.targets.argmax(1).tolist() == events.labels("test").tolist() == steps.labels("test").tolist()
    (values, times), (expected, same) = events.program_samples("test", 1)[0], steps.program_samples("test", 1)[0]
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(times, same)
    training, stepped = next(iter(events.train_dataloader())), next(iter(steps.train_dataloader()))
    np.testing.assert_array_equal(training.tokens, stepped.inputs)


def test_windows_of_steps(root):
    events = data(root, reads="events")
    assert events.check_windows(784) is None
    with pytest.raises(PumiceError, match="window of 785 steps, the longest has 784; lower"):
        events.check_windows(785)
