"""Published camera sets in their true format, read as tonic reads them; what is missing is named, and nothing exits."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tonic.datasets
import yaml
from pumice.errors import PumiceError
from pumice.train.data.events.datamodule import EventDataModule
from pumice.train.data.files import looking
from pumice.train.data.sources import registry
from pumice.train.data.sources.registry import open_recordings
from pumice.train.data.task import task_config
from scipy.io import savemat

TASKS = Path(registry.__file__).parents[3] / "configs" / "task"


def task(name, root, **changes):
    return task_config(yaml.safe_load((TASKS / f"{name}.yaml").read_text()) | {"root": root and str(root)} | changes)


def write_bin(path, seed, width=34, height=34):
    rng = np.random.default_rng(seed)
    t, n = np.sort(rng.integers(0, 300_000, 50)), 50
    x, y, p = rng.integers(0, width, n), rng.integers(0, height, n), rng.integers(0, 2, n)
    rows = np.stack([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255], axis=1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(rows.tobytes())


def theirs(kind, files, targets):
    """tonic's data set of these files, without its search for thousands of them."""
    made = object.__new__(kind)
    made.data, made.targets = [str(file) for file in files], targets
    made.transform = made.target_transform = made.transforms = None
    made.first_saccade_only = made.stabilize = False
    return made


def assert_same(recordings, data):
    assert len(recordings.labels) == len(data.data)
    for index in range(len(recordings.labels)):
        events, label = data[index]
        ours = recordings.events(index)
        for field in "txyp":
            assert np.array_equal(ours[field], np.asarray(events[field]).ravel())
        assert recordings.class_names[recordings.labels[index]] == label
        assert recordings.lengths[index] == len(events)


def test_nmnist(tmp_path):
    for split in ("Train", "Test"):
        for number in range(6):
            write_bin(tmp_path / "NMNIST" / split / str(number % 3) / f"{number:05d}.bin", number)
    for split, folder in (("train", "Train"), ("test", "Test")):
        files = sorted((tmp_path / "NMNIST" / folder).glob("*/*.bin"))
        expected = theirs(tonic.datasets.NMNIST, files, [file.parent.name for file in files])
        assert_same(open_recordings(task("nmnist", tmp_path), split), expected)
    (tmp_path / "NMNIST" / "Train" / "eleven").mkdir()
    write_bin(tmp_path / "NMNIST" / "Train" / "eleven" / "1.bin", 1)
    with pytest.raises(PumiceError, match="has a class eleven, which task nmnist has not"):
        open_recordings(task("nmnist", tmp_path), "train")


def test_ncaltech101_begins_at_the_corner_and_has_a_seeded_test_set(tmp_path):
    base = tmp_path / "NCALTECH101" / "Caltech101"
    for number in range(10):
        write_bin(base / ("Faces", "anchor")[number % 2] / f"image_{number:04d}.bin", number, 200, 150)
    configured = task("ncaltech101", tmp_path, num_classes=2)
    counts = []
    for split in ("train", "test"):
        recordings = open_recordings(configured, split)
        expected = theirs(
            tonic.datasets.NCALTECH101, recordings._files, [file.parent.name for file in recordings._files]
        )
        assert_same(recordings, expected)
        assert min(recordings.events(0)["x"].min(), recordings.events(0)["y"].min()) == 0
        counts.append(len(recordings.labels))
    assert counts == [8, 2]
    with pytest.raises(PumiceError, match="has 2 classes, which task ncaltech101 has not"):
        open_recordings(task("ncaltech101", tmp_path), "train")


def test_asl_dvs_is_upside_down(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(10):
        path = tmp_path / "ASLDVS" / "ab"[number % 2] / f"{number:04d}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {"ts": np.sort(rng.integers(0, 90_000, 30)), "pol": rng.integers(0, 2, 30)}
        columns |= {"x": rng.integers(0, 240, 30).astype(np.uint8), "y": rng.integers(0, 180, 30).astype(np.uint8)}
        savemat(path, {name: values[:, None] for name, values in columns.items()})
    recordings = open_recordings(task("asl-dvs", tmp_path, num_classes=2), "train")
    names = [file.parent.name for file in recordings._files]
    assert_same(recordings, theirs(tonic.datasets.ASLDVS, recordings._files, names))


def test_cifar10_dvs_in_the_files_of_its_authors(tmp_path):
    for number in range(20):
        path = tmp_path / "CIFAR10DVS" / ("cat", "truck")[number % 2] / f"cifar10_{number}.aedat"
        path.parent.mkdir(parents=True, exist_ok=True)
        events = [(3 << 8 | number << 1, 10), (5 << 8 | 7 << 1 | 1, 20)]
        path.write_bytes(b"#!AER-DAT2.0\r\n" + b"".join(struct.pack(">II", *event) for event in events))
    recordings = open_recordings(task("cifar10-dvs", tmp_path), "train")
    assert len(recordings.labels) == 18
    assert recordings.class_names == tuple(tonic.datasets.CIFAR10DVS.classes)
    assert set(recordings.labels.tolist()) == {3, 9}
    number = int(recordings._files[0].stem.split("_")[1])
    assert recordings.events(0).tolist() == [(10, 127 - number, 3, 1), (20, 120, 5, 0)]


@pytest.fixture
def lips(tmp_path):
    rng = np.random.default_rng(0)
    kind = [("t", "<i8"), ("x", "<i4"), ("y", "<i4"), ("p", "?")]
    for split, each in (("train", 51), ("test", 50)):
        for word in ("young", "accused"):
            folder = tmp_path / "DVSLip" / "DVS-Lip" / split / word
            folder.mkdir(parents=True)
            for number in range(each):
                events = np.zeros(40, kind)
                events["t"] = np.sort(rng.integers(0, 10**6, 40))
                events["x"], events["y"] = rng.integers(0, 128, (2, 40))
                events["p"] = rng.integers(0, 2, 40)
                np.save(folder / f"{number}.npy", events)
    return tmp_path


def test_dvs_lip_is_sorted_and_read_as_tonic_reads_it(lips):
    configured = task("dvs-lip", lips, slice_events=16, validation={"by": "sample", "fraction": 0.1, "seed": 0})
    recordings = open_recordings(configured, "test")
    data = tonic.datasets.DVSLip(str(lips), train=False)
    by_path = {path: index for index, path in enumerate(data.data)}
    assert [str(file) for file in recordings._files] == sorted(by_path)
    for index, file in enumerate(recordings._files):
        events, label = data[by_path[str(file)]]
        assert all(np.array_equal(recordings.events(index)[field], events[field]) for field in "txyp")
        assert recordings.labels[index] == label
    module = EventDataModule(configured, batch_size=4)
    train, held = module.train_dataset, module.val_dataset
    assert not set(train.indices) & set(held.indices)  # slices of a recording stay on one side
    assert len(train) == 4 * len(set(train.indices))
    assert len(held) == len(set(held.indices))
    assert np.array_equal(train[1][0], recordings_of(train)[8:24])


def recordings_of(samples):
    return samples.recordings.events(int(samples.indices[0]))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("dvs-lip", r"DVSLip/DVS-Lip/train holds none of its files; fetch DVS-Lip\.zip by hand"),
        ("nmnist", r"NMNIST/Train does not exist; .*task\.download=true"),
        ("ncaltech101", r"NCALTECH101/Caltech101 does not exist"),
        ("cifar10-dvs", r"CIFAR10DVS does not exist"),
        ("asl-dvs", r"ASLDVS does not exist"),
    ],
)
def test_missing_sets_are_named_and_nothing_exits(tmp_path, name, reason):
    with pytest.raises(PumiceError, match=reason):
        open_recordings(task(name, tmp_path), "train")
    with pytest.raises(PumiceError, match=r"give the folder that holds its files as task\.root"):
        open_recordings(task(name, None), "train")


def test_tonic_downloads_where_it_is_asked_to(tmp_path, monkeypatch):
    def download(root, train):
        write_bin(Path(root) / "NMNIST" / ("Train" if train else "Test") / "4" / "1.bin", 0)

    monkeypatch.setattr(tonic.datasets, "NMNIST", download)
    assert len(open_recordings(task("nmnist", tmp_path, download=True), "test").labels) == 1


def test_many_files_are_looked_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PUMICE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(looking, "FEWEST", 4)
    for number in range(6):
        write_bin(tmp_path / "NMNIST" / "Train" / str(number % 3) / f"{number}.bin", number)
    (tmp_path / "NMNIST" / "Train" / "0" / "9.bin").write_bytes(b"")
    configured = task("nmnist", tmp_path)
    first = open_recordings(configured, "train")
    reports = [first.report(index) for index in range(7)]
    monkeypatch.setattr(type(first), "_look_at", None)  # not called again
    again = open_recordings(configured, "train")
    assert [again.report(index) for index in range(7)] == reports
    assert np.array_equal(again.lengths, first.lengths)
    assert np.array_equal(again.events(1), first.events(1))
    monkeypatch.undo()
    monkeypatch.setenv("PUMICE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(looking, "FEWEST", 4)
    (tmp_path / "NMNIST" / "Train" / "0" / "9.bin").write_bytes(bytes(5))
    assert open_recordings(configured, "train").lengths.sum() == first.lengths.sum() + 1
