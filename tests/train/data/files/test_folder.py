"""Folders of recordings: labels, splits, subjects, units and codings; what leads outside or lies is a sentence."""

import pickle

import h5py
import numpy as np
import pytest
import yaml
from pumice.errors import PumiceError
from pumice.train.data.events.datamodule import EventDataModule
from pumice.train.data.files.opening import read_columns
from pumice.train.data.files.settings import file_settings
from pumice.train.data.sources import registry
from pumice.train.data.sources.registry import open_recordings
from pumice.train.data.task import task_config

PLAIN = yaml.safe_load((registry.Path(registry.__file__).parents[3] / "configs/task/event-folder.yaml").read_text())


def task(root, **changes):
    files = PLAIN["files"] | changes.pop("files", {})
    return task_config(PLAIN | {"root": str(root), "sensor": [34, 34, 2], "files": files} | changes)


def write(path, count=40, seed=0, order="txyp", on=1, off=0, unit=1.0):
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "t": np.sort(rng.integers(0, 200_000, count)) / unit,
        "x": rng.integers(0, 34, count),
        "y": rng.integers(0, 34, count),
        "p": np.where(rng.random(count) < 0.5, on, off),
    }
    np.save(path, np.stack([columns[name] for name in order], axis=1))
    return columns


@pytest.fixture
def gestures(tmp_path):
    """Three classes of 8 recordings by 4 subjects each, without splits."""
    for label in ("wave", "clap", "roll"):
        for number in range(8):
            write(tmp_path / label / f"user{number % 4 + 1:02d}_{number}.npy", seed=number)
    return tmp_path


def test_classes_are_folders_and_the_test_set_is_seeded(gestures):
    configured = task(gestures)
    data = EventDataModule(configured)
    assert data.num_classes == 3
    assert data.vocab == 34 * 34 * 2
    train, test = (open_recordings(configured, split) for split in ("train", "test"))
    assert train.class_names == ("clap", "roll", "wave")
    assert (len(train.labels), len(test.labels)) == (19, 5)
    assert train.speakers is None
    again = open_recordings(task(gestures), "test")
    assert np.array_equal(again.labels, test.labels)
    other = open_recordings(task(gestures, files={"test": {"seed": 1}}), "test")
    assert [str(file) for file in other._files] != [str(file) for file in test._files]


def test_events_are_those_of_the_file(gestures):
    columns = write(gestures / "wave" / "user01_0.npy", seed=9)
    recordings = open_recordings(task(gestures, files={"test": {"pattern": "wave/user01_0"}}), "test")
    for field, values in columns.items():
        assert np.array_equal(recordings.events(0)[field], values.astype(int))
    assert np.array_equal(recordings.events(0, 3, 9), recordings.events(0)[3:9])
    recordings.events(0)["x"] = 0  # a copy
    assert recordings.events(0)["x"].any()
    assert np.array_equal(pickle.loads(pickle.dumps(recordings)).events(0), recordings.events(0))
    assert recordings.report(0).events == 40


def test_subjects_are_apart(gestures):
    files = {"subject": r"user(\d+)", "test": {"by": "subject", "fraction": 0.25}}
    train, test = (open_recordings(task(gestures, files=files), split) for split in ("train", "test"))
    assert len(set(test.speakers.tolist())) == 1
    assert not set(train.speakers.tolist()) & set(test.speakers.tolist())
    assert set(train.speakers.tolist()) | set(test.speakers.tolist()) == {1, 2, 3, 4}
    files["test"] = {"pattern": "user0[34]_"}
    assert set(open_recordings(task(gestures, files=files), "test").speakers.tolist()) == {3, 4}
    held = task(gestures, files=files, validation={"by": "speaker", "fraction": 0.5})
    data = EventDataModule(held, batch_size=4)
    of = [
        set(data.samples(split).recordings.speakers[data.samples(split).indices]) for split in ("train", "validation")
    ]
    assert not of[0] & of[1]


def test_folders_say_the_split(tmp_path):
    for split, count in (("Train", 6), ("valid", 2), ("testing", 4)):
        for number in range(count):
            write(tmp_path / split / str(number % 2 + 9) / f"{number}.npy", seed=number)
    configured = task(tmp_path, validation={"by": "own"}, files={"label_offset": 9})
    for split, count in (("train", 6), ("validation", 2), ("test", 4)):
        recordings = open_recordings(configured, split)
        assert len(recordings.labels) == count
        assert recordings.class_names == ("9", "10")  # by number
    with pytest.raises(PumiceError, match=r"has the labels 9 to 10, and task\.files\.label_offset=10"):
        open_recordings(task(tmp_path, files={"label_offset": 10}), "train")


def test_a_list_names_paths_labels_and_splits(tmp_path):
    for number in range(6):
        write(tmp_path / "all" / f"{number}.npy", seed=number)
    lines = [f"all/{number}.npy,{2 + number % 2},{'test' if number > 3 else 'train'},s{number}" for number in range(6)]
    (tmp_path / "list.csv").write_text("path,label,split,subject\n" + "\n".join(lines))
    recordings = open_recordings(task(tmp_path, files={"listing": "list.csv", "label_offset": 2}), "test")
    assert recordings.labels.tolist() == [0, 1]
    assert recordings.class_names == ("2", "3")
    assert recordings.speakers.tolist() == [4, 5]
    (tmp_path / "list.csv").write_text("\n".join(line.rsplit(",", 2)[0] for line in lines))
    assert len(open_recordings(task(tmp_path, files={"listing": "list.csv"}), "test").labels) == 1
    for text, reason in (
        ("../a.npy,1", "does not lie in"),
        ("/etc/passwd,1", "does not lie in"),
        ("a.npy,1,weekend", "has the split weekend"),
        ("a.npy,1\nb.npy", "line 2 has 1 cells"),
        ("path,label,colour\na.npy,1,red", "names the columns path, label, colour"),
        ("a.npy,1,train\nb.npy,2,", "gives b.npy no split"),
    ):
        (tmp_path / "list.csv").write_text(text)
        with pytest.raises(PumiceError, match=reason):
            open_recordings(task(tmp_path, files={"listing": "list.csv"}), "train")


def test_patterns_find_labels(tmp_path):
    for number in range(10):
        write(tmp_path / f"{number}_{'yes' if number % 2 else 'no'}.npy", seed=number)
    assert open_recordings(task(tmp_path, files={"label": r"_(\w+)\."}), "train").class_names == ("no", "yes")
    with pytest.raises(PumiceError, match=r"0_no\.npy has no label: put it into a folder"):
        open_recordings(task(tmp_path), "train")
    with pytest.raises(PumiceError, match="finds nothing in it"):
        open_recordings(task(tmp_path, files={"label": "(maybe)"}), "train")


@pytest.mark.parametrize(("on", "off", "given"), [(1, -1, None), (2, 1, None), (0, 1, [1, 0])])
def test_codings_of_polarity(tmp_path, on, off, given):
    for number in range(4):
        columns = write(tmp_path / "ab"[number % 2] / f"{number}.npy", seed=number, on=on, off=off)
    recordings = open_recordings(task(tmp_path, files={"polarity": given, "test": {"pattern": "3"}}), "test")
    assert np.array_equal(recordings.events(0)["p"], columns["p"] == on)
    ignored = task(tmp_path, sensor=[34, 34, 1], files={"polarity": "ignore"})
    assert not open_recordings(ignored, "train").events(0)["p"].any()
    with pytest.raises(PumiceError, match=r"has the polarity .*task\.files\.polarity=\[5, 6\]"):
        open_recordings(task(tmp_path, files={"polarity": [5, 6]}), "train")


def test_units_orders_and_the_report(tmp_path):
    for number in range(4):
        columns = write(tmp_path / "ab"[number % 2] / f"{number}.npy", seed=number, order="xytp", unit=1e6)
    files = {"unit": "s", "columns": ["x", "y", "t", "p"], "test": {"pattern": "3"}}
    recordings = open_recordings(task(tmp_path, files=files), "test")
    assert np.array_equal(recordings.events(0)["t"], np.rint(columns["t"] * 1e6).astype(int))
    write(tmp_path / "b" / "3.npy", seed=3, order="xytp", unit=1e-6)
    with pytest.raises(PumiceError, match=r"3\.npy lasts .*more than a day"):
        open_recordings(task(tmp_path, files=files | {"unit": "us"}), "test")
    with pytest.raises(PumiceError, match=r"events lie outside 20x20 pixels"):
        open_recordings(task(tmp_path, files=files, sensor=[20, 20, 2]), "train")
    np.save(tmp_path / "a" / "0.npy", np.array([(0, 0)], [("t", int), ("x", int)]))
    with pytest.raises(PumiceError, match=r"has no y, but task\.sensor=\[34, 34, 2\] is a camera"):
        open_recordings(task(tmp_path, files=files), "train")


def test_pixels_fall_together_and_late_events_are_left_out(gestures):
    whole = open_recordings(task(gestures), "test")
    reduced = task(gestures, downsample=3, max_ms=50)
    assert reduced.vocab == 12 * 12 * 2
    recordings = open_recordings(reduced, "test")
    for index in range(len(recordings.labels)):
        expected = whole.events(index)
        expected = expected[expected["t"] <= expected["t"][0] + 50_000]
        assert recordings.lengths[index] == len(expected) < whole.lengths[index]
        assert np.array_equal(recordings.events(index)["x"], expected["x"] // 3)
        assert np.array_equal(recordings.events(index)["y"], expected["y"] // 3)
        assert np.array_equal(recordings.events(index, 2, 5)["t"], expected["t"][2:5])
    batch = next(EventDataModule(reduced, batch_size=4).batches("test"))
    assert int(batch.tokens.max()) < reduced.vocab


def test_whole_splits_in_the_layout_of_shd(tmp_path, shd_file):
    for split in ("train", "test"):
        shd_file(tmp_path / f"{split}.h5", [30] * 8, num_classes=4)
    configured = task(tmp_path, sensor=[700])
    assert configured.token == "channel"
    assert EventDataModule(configured).num_classes == 4
    assert open_recordings(configured, "test").class_names[3] == "word 3"


def test_links_that_lead_outside_are_refused(gestures, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    write(outside / "secret.npy")
    (gestures / "wave" / "link.npy").symlink_to(outside / "secret.npy")
    with pytest.raises(PumiceError, match=r"link\.npy leads out of the folder"):
        open_recordings(task(gestures), "train")


def test_folders_without_recordings_or_classes_are_named(tmp_path):
    for root, reason in ((tmp_path / "none", "is no folder"), (tmp_path, "holds no files that end in")):
        with pytest.raises(PumiceError, match=reason):
            open_recordings(task(root), "train")
    with pytest.raises(PumiceError, match=r"give the folder of the recordings as task\.root"):
        open_recordings(task_config(PLAIN | {"sensor": [34, 34, 2]}), "train")
    with pytest.raises(PumiceError, match=r"task\.sensor is missing"):
        task_config(PLAIN)
    write(tmp_path / "only" / "a.npy")
    write(tmp_path / "only" / "b.npy")
    with pytest.raises(PumiceError, match="it needs two at least"):
        _ = EventDataModule(task(tmp_path)).num_classes
    with pytest.raises(PumiceError, match=r"nobody is named"):
        open_recordings(task(tmp_path, files={"test": {"by": "subject"}}), "train")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"unit": "ns"}, "unit=ns"),
        ({"label": "("}, "is no regular expression"),
        ({"label": "a"}, "has 0 groups"),
        ({"columns": ["t", "y"]}, "has to name t and x"),
        ({"columns": ["t", "x", "ts"]}, "nothing twice"),
        ({"polarity": [1, 1]}, "polarity="),
        ({"camera": "eye"}, "camera=eye"),
        ({"colour": 1}, r"task\.files\.colour is unknown"),
        ({"test": {"by": "luck"}}, r"test\.by=luck"),
        ({"test": {"fraction": 1.0}}, r"test\.fraction=1"),
        ({"test": {"when": 1}}, r"task\.files\.test\.when is unknown"),
    ],
)
def test_settings_out_of_range_are_named(values, reason):
    with pytest.raises(PumiceError, match=reason):
        file_settings(values)


def test_memory_is_in_proportion(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "txyp":
            file.create_dataset(name, (1 << 40,), np.float32, chunks=(1 << 20,), compression="gzip")
    with pytest.raises(PumiceError, match=r"declares 4,398,046,511,104 bytes and stores 0"):
        read_columns(tmp_path / "a.h5")
