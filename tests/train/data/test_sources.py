"""Files in the true formats, read as tonic's own classes read them; missing and damaged ones in one sentence."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tonic.datasets
import yaml
from pumice.errors import PumiceError
from pumice.train.data.sources import registry
from pumice.train.data.sources.registry import open_recordings
from pumice.train.data.sources.shd_layout import ShdRecordings
from pumice.train.data.task import task_config

TASKS = Path(registry.__file__).parents[3] / "configs" / "task"


def task(name, **changes):
    return task_config(yaml.safe_load((TASKS / f"{name}.yaml").read_text()) | changes)


@pytest.mark.parametrize("split", ["train", "test"])
def test_shd_is_read_as_tonic_reads_it(shd_root, split):
    recordings = open_recordings(task("shd", root=str(shd_root)), split)
    theirs = tonic.datasets.SHD(str(shd_root), train=split == "train")
    assert len(recordings.labels) == len(theirs)
    assert np.array_equal(recordings.speakers, theirs.speaker)
    assert recordings.class_names == tuple(name.decode() for name in theirs.classes)
    for index in range(len(theirs)):
        events, label = theirs[index]
        ours = recordings.events(index)
        assert np.array_equal(ours["t"], events["t"])
        assert np.array_equal(ours["x"], events["x"])
        assert recordings.labels[index] == label
        assert recordings.lengths[index] == len(events)
        assert np.array_equal(recordings.events(index, 3, 9), ours[3:9])
        assert np.array_equal(recordings.events(index, 3, 10**6), ours[3:])


def test_ssc_has_three_splits_read_as_tonic_reads_them(tmp_path, shd_file):
    for number, split in enumerate(("train", "valid", "test")):
        path = shd_file(tmp_path / "SSC" / f"ssc_{split}.h5", [30] * 40, num_classes=35, seed=number)
        path.with_name(f"{path.name}.zip").touch()
    for split, stored in (("train", "train"), ("validation", "valid"), ("test", "test")):
        recordings = open_recordings(task("ssc", root=str(tmp_path)), split)
        theirs = tonic.datasets.SSC(str(tmp_path), split=stored)
        for index in (0, 39):
            assert np.array_equal(recordings.events(index)["t"], theirs[index][0]["t"])
            assert np.array_equal(recordings.events(index)["x"], theirs[index][0]["x"])
            assert recordings.labels[index] == theirs[index][1]


@pytest.mark.parametrize("split", ["train", "test"])
def test_dvs_gesture_is_read_as_tonic_reads_it(dvs_root, split):
    recordings = open_recordings(task("dvs-gesture", root=str(dvs_root)), split)
    theirs = tonic.datasets.DVSGesture(str(dvs_root), train=split == "train")
    order = np.argsort(theirs.data)
    assert len(recordings.labels) == len(theirs) == 100
    assert len(recordings.class_names) == 11
    for index in range(0, 100, 7):
        events, label = theirs[order[index]]
        ours = recordings.events(index)
        for field in ("t", "x", "y", "p"):
            assert np.array_equal(ours[field], events[field])
        assert recordings.labels[index] == label
        assert recordings.speakers[index] == theirs.users[order[index]]
        assert recordings.lengths[index] == len(events)
        assert np.array_equal(recordings.events(index, 5, 20), ours[5:20])


def test_unsorted_files_are_sorted(tmp_path, shd_file):
    path = shd_file(tmp_path / "x.h5", [3])
    with h5py.File(path, "r+") as file:
        file["spikes/times"][0] = np.array([0.5, 0.25, 0.5], dtype=np.float16)
        file["spikes/units"][0] = np.array([1, 2, 3], dtype=np.uint16)
    events = ShdRecordings(path, 700, 20).events(0)
    assert events.tolist() == [(250_000, 2), (500_000, 1), (500_000, 3)]


@pytest.mark.parametrize(
    ("name", "where"),
    [("shd", "SHD/shd_train.h5"), ("ssc", "SSC/ssc_train.h5"), ("dvs-gesture", "DVSGesture/ibmGestureTrain.tar.gz")],
)
def test_a_missing_set_is_named_with_its_place_and_cure(tmp_path, name, where):
    with pytest.raises(PumiceError, match=f"{where} does not exist.*task.download=true"):
        open_recordings(task(name, root=str(tmp_path)), "train")
    with pytest.raises(PumiceError, match=r"task\.root"):
        open_recordings(task(name), "train")


def test_a_failed_download_is_one_sentence(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(tonic.datasets, "SHD", fail)
    with pytest.raises(PumiceError, match=r"could not be downloaded.*no route to host"):
        open_recordings(task("shd", root=str(tmp_path), download=True), "train")


def test_truncated_and_foreign_files_are_refused(tmp_path, shd_file):
    path = shd_file(tmp_path / "shd.h5", [200] * 50)
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1000):
        path.write_bytes(whole[:size])
        with pytest.raises(PumiceError, match="cannot be read as an HDF5 file in SHD's layout"):
            ShdRecordings(path, 700, 20)
    path.write_bytes(whole)
    with h5py.File(path) as file:
        header = h5py.h5o.get_info(file["labels"].id).addr
    path.write_bytes(whole[:header] + b"\xff" + whole[header + 1 :])
    with pytest.raises(PumiceError, match="cannot be read as an HDF5 file in SHD's layout"):
        ShdRecordings(path, 700, 20)
    with h5py.File(path, "w") as file:
        file["labels"] = np.zeros(3)
    with pytest.raises(PumiceError, match="it has no spikes/times"):
        ShdRecordings(path, 700, 20)


@pytest.mark.parametrize(
    ("entry", "value", "named"),
    [
        ("labels", np.full(4, 20), "labels outside 0 to 19"),
        ("labels", np.zeros(3), "not equally many"),
        ("labels", np.full(4, 0.5), "labels holds float64 of shape \\(4,\\), not a whole number a recording"),
        ("labels", 3, "labels holds int64 of shape \\(\\), not"),
        ("extra/speaker", 3, "speaker holds int64 of shape \\(\\), not"),
        ("extra/speaker", np.zeros(5), "speakers and labels"),
        ("extra/keys", np.array([b"a", b"b"]), "names 2 classes, the task has 20"),
    ],
)
def test_inconsistent_files_are_refused(tmp_path, shd_file, entry, value, named):
    path = shd_file(tmp_path / "x.h5", [3, 4, 5, 6])
    with h5py.File(path, "r+") as file:
        del file[entry]
        file[entry] = value
    with pytest.raises(PumiceError, match=named):
        ShdRecordings(path, 700, 20)


def test_channels_and_times_out_of_range_are_refused(tmp_path, shd_file):
    path = shd_file(tmp_path / "x.h5", [30, 40])
    with pytest.raises(PumiceError, match="channels outside 0 to 9"):
        ShdRecordings(path, 10, 20)
    with h5py.File(path, "r+") as file:
        file["spikes/times"][0] = np.full(30, np.nan, dtype=np.float16)
    with pytest.raises(PumiceError, match="not finite"):
        ShdRecordings(path, 700, 20)
    with h5py.File(path, "r+") as file:
        file["spikes/times"][0] = np.zeros(29, dtype=np.float16)
    with pytest.raises(PumiceError, match="not equally many"):
        ShdRecordings(path, 700, 20)


def test_a_damaged_gesture_recording_is_refused(dvs_root):
    victim = dvs_root / "DVSGesture" / "ibmGestureTrain" / "user03_led" / "4.npy"
    whole = victim.read_bytes()
    configured = task("dvs-gesture", root=str(dvs_root))
    victim.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PumiceError, match=r"user03_led/4.npy cannot be read"):
        open_recordings(configured, "train")
    victim.write_bytes(whole.replace(b"}", b"{", 1))
    with pytest.raises(PumiceError, match=r"user03_led/4.npy cannot be read"):
        open_recordings(configured, "train")
    np.save(victim, np.zeros((5, 3)))
    with pytest.raises(PumiceError, match="four columns"):
        open_recordings(configured, "train")
    np.save(victim, np.array([[128, 0, 0, 0]]))
    with pytest.raises(PumiceError, match="128x128"):
        open_recordings(configured, "train").events(24)


def test_an_unknown_source_is_refused():
    with pytest.raises(PumiceError, match=r"task.source=elsewhere is unknown; choose one of spoken-digits"):
        open_recordings(task("shd", source="elsewhere"), "train")
