"""Image rows of camera events."""

import numpy as np
import pytest
from pumice.api.data import load_data
from pumice.errors import PumiceError
from pumice.train.data.recordings import make_events
from pumice.train.data.sequences.camera_rows import frames


def test_frames_against_a_loop():
    rng = np.random.default_rng(0)
    n = 4000
    times = np.sort(rng.integers(1000, 200_000, n))
    events = make_events(times, rng.integers(0, 128, n), rng.integers(0, 128, n), rng.integers(0, 2, n))
    events["x"][:2000] //= 16  # some pixels count more than one event
    events["y"][:2000] //= 16
    found = frames(events, 20_000, 4, 25_000)
    planes = np.zeros((4, 2, 128, 128))
    for t, x, y, p in events.tolist():
        if 20_000 <= t < 120_000:
            planes[(t - 20_000) // 25_000, p, y, x] += 1
    mean = planes.mean(1)
    pooled = np.array([[[mean[f, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max() for j in range(64)] for i in range(64)]
                       for f in range(4)])  # fmt: skip
    assert pooled.max() > 1
    np.testing.assert_array_equal(found, pooled)


def test_slices_of_a_person_stay_together(dvs_root):
    data = load_data("dvs-gesture-rows", root=str(dvs_root), num_classes=10, slice_ms=1700, batch_size=4)
    train, held, test = (data.samples(split) for split in ("train", "validation", "test"))
    assert not set(train.speakers) & set(held.speakers)
    assert len(train) > len(held) > 0
    batch = next(iter(data.batches("validation", 2)))
    assert batch.inputs.shape == (2, 68 * 64, 64)
    recording, number = held.slices[1].tolist()
    events = held._recordings.events(recording)
    rows = frames(events, int(events["t"][0]) + 1_700_000 * number, 68, 25_000).reshape(-1, 64)
    assert rows.max() > 0
    np.testing.assert_allclose(batch.inputs[1], rows / 19, rtol=1e-6)
    one = next(iter(data.batches("test", 1))).inputs[0]
    events = test._recordings.events(int(test.slices[0, 0]))
    np.testing.assert_allclose(one, frames(events, int(events["t"][0]), 68, 25_000).reshape(-1, 64) / 18.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"slice_ms": 1710}, "no multiple"),
        ({"divisor": 0.0}, "divisor"),
        ({"validation": {"by": "sample"}}, "set it to speaker"),
        ({"slice_ms": 1_000_000}, "lower task.slice_ms"),
    ],
)
def test_settings_outside_their_limits_are_refused(dvs_root, change, part):
    with pytest.raises(PumiceError, match=part):
        load_data("dvs-gesture-rows", root=str(dvs_root), num_classes=10, **change).samples("train")
