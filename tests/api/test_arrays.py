"""Arrays in, a data module out: every form of recording, and one sentence for what is none."""

import numpy as np
import pumice
import pytest
from pumice.errors import PumiceError

rng = np.random.default_rng(0)
ORDER = {"t": 0, "x": 1, "y": 2, "p": 3}


def columns(count=30, on=1, off=0):
    t = np.sort(rng.integers(0, 100_000, count))
    place = rng.integers(0, 8, (2, count))
    return [t, *place, np.where(rng.random(count) < 0.5, on, off)]


def forms(of):
    kind = [("t", int), ("x", int), ("y", int), ("p", int)]
    yield tuple(of)
    yield dict(zip("txyp", of, strict=True))
    yield {"timestamp": of[0], "X": of[1], "Y": of[2], "polarity": of[3]}
    yield np.stack(of, axis=1)
    yield np.array(list(zip(*of, strict=True)), kind)
    yield [list(column) for column in of]


def test_every_form_of_a_recording_is_the_same():
    of = columns()
    recordings = list(forms(of))
    labels = [0, 1] * 3
    data = pumice.make_data((recordings, labels), (recordings, labels), sensor=[8, 8, 2], batch_size=2)
    for index in range(len(recordings)):
        events, label = data.test_dataset[index]
        assert all(np.array_equal(events[name], of[place]) for name, place in ORDER.items())
        assert label == labels[index]
    assert data.class_names == ("0", "1")
    assert data.model_inputs == {"vocab": 128}


def test_the_module_gives_batches_and_samples():
    def some(count):
        labels = rng.integers(0, 2, count)
        return [(np.sort(rng.integers(0, 9000, 64)), rng.integers(4 * k, 4 * k + 4, 64)) for k in labels], labels

    train, test = some(24), some(8)
    data = pumice.make_data(train, test, sensor=[8], class_names=["low", "high"], batch_size=4, tick_ms=1)
    assert data.num_classes == 2
    assert len(data.train_dataset) + len(data.val_dataset) == 24
    batch = next(iter(data.train_dataloader()))
    assert batch.tokens.shape == (4, 64)
    assert (batch.tokens // 4 == batch.targets.argmax(1)[:, None]).all()
    assert batch.dt.sum(1).max() <= 9
    values, times = data.program_samples("test")[3]
    assert np.array_equal(values, test[0][3][1])
    assert np.array_equal(times, test[0][3][0])


def test_names_speakers_units_polarities_and_splits():
    recordings = [columns(on=1, off=-1) for _ in range(12)]
    given = ([(of[0] / 1000, *of[1:]) for of in recordings], ["b", "a"] * 6, np.arange(12) // 3)
    data = pumice.make_data(
        given,
        given,
        sensor=[8, 8, 2],
        unit="ms",
        downsample=2,
        validation=given,
        batch_size=2,
    )
    assert data.class_names == ("a", "b")
    assert data.labels("test").tolist() == [1, 0] * 6
    assert len(data.val_dataset) == len(data.train_dataset) == 12
    events, _ = data.test_dataset[0]
    assert np.array_equal(events["t"], recordings[0][0])
    assert np.array_equal(events["x"], recordings[0][1] // 2)
    assert np.array_equal(events["p"], recordings[0][3] == 1)
    apart = pumice.make_data(given, given, sensor=[8, 8, 2], unit="ms", batch_size=2)
    held = pumice.make_data(given, given, sensor=[8, 8, 2], validation={"by": "speaker", "fraction": 0.25}, unit="ms")
    assert len(apart.val_dataset) == 1
    assert len(held.val_dataset) == 3


def test_events_in_any_order_are_sorted_and_what_is_given_stays():
    t = np.array([300, 100, 200])
    given = ([(t, np.array([3, 1, 2]))] * 4, [0, 1, 0, 1])
    data = pumice.make_data(given, given, sensor=[8])
    events, _ = data.test_dataset[0]
    assert events["t"].tolist() == [100, 200, 300]
    assert events["x"].tolist() == [1, 2, 3]
    events["x"] = 0
    assert data.test_dataset[0][0]["x"].tolist() == [1, 2, 3]
    assert t.tolist() == [300, 100, 200]


GOOD = [(np.arange(9), np.arange(9) % 8)] * 4


@pytest.mark.parametrize(
    ("given", "changes", "reason"),
    [
        ((GOOD, [0, 1]), {}, "train has 4 recordings, 2 labels"),
        ((GOOD, [0, 1, 0, 1], [1, 2]), {}, "2 speakers"),
        ((GOOD, [0, 1, 0, 1], [0.5] * 4), {}, "speakers are float64"),
        (GOOD, {}, "train is|4 recordings"),
        (([], []), {}, "labels are float64|0 recordings"),
        ((GOOD, [0.0, 1.0, 0, 1]), {}, "labels are float64 of shape"),
        ((GOOD, [0, 1, -1, 1]), {}, "labels are -1 to 1; they count from 0"),
        ((GOOD, [0, 1, 5000, 1]), {}, "labels are 0 to 5000"),
        ((GOOD, [0, 1, 2, 1]), {"class_names": ["a", "b"]}, "below 2, as class_names are as many"),
        ((GOOD, ["a", "b", "c", "a"]), {"class_names": ["a", "b"]}, "the label c is none of class_names"),
        (([(np.arange(3), np.arange(4))] * 4, [0, 1] * 2), {}, "recording 0 of arrays, train.*not equally long"),
        (([(np.arange(3), np.arange(3) / 2)] * 4, [0, 1] * 2), {}, "positions that are not whole"),
        (([(np.arange(3), np.arange(3) + 7)] * 4, [0, 1] * 2), {}, "2 of 3 events lie outside 8 channels"),
        (([([0.0, np.nan], [1, 2])] * 4, [0, 1] * 2), {}, "event 1 is at nan us, which is no time"),
        (([{"t": [1], "z": [1]}] * 4, [0, 1] * 2), {}, "it names t, z, and not"),
        (([np.zeros((3, 5))] * 4, [0, 1] * 2), {}, "no recording of the columns t, x"),
        (([["a", "b"]] * 4, [0, 1] * 2), {}, "recording 0 of arrays"),
        ((GOOD, [0, 1] * 2), {"sensor": [8, 8, 2]}, "is no recording of the columns t, x, y, p"),
        ((GOOD, [0, 1] * 2), {"unit": "ns"}, "unit=ns is unknown"),
        ((GOOD, [0, 1] * 2), {"colour": "red"}, r"task\.colour is unknown"),
    ],
)
def test_what_is_no_data_is_a_sentence(given, changes, reason):
    with pytest.raises(PumiceError, match=reason) as refused:
        pumice.make_data(given, given, **({"sensor": [8]} | changes))
    assert "\n" not in str(refused.value)
