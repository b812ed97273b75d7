"""The embedded camera set: the pixel model against one pixel followed by itself, and the same events everywhere."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from pumice.train.data.saccade import digits, pixels
from pumice.train.data.sources import registry
from pumice.train.data.sources.registry import open_recordings
from pumice.train.data.task import task_config
from sklearn.datasets import load_digits

CONFIGS = Path(registry.__file__).parents[3] / "configs"


@pytest.fixture(scope="module")
def pictures():
    return load_digits().images[:3].astype(np.int64)


def brightness(picture, x, y, place):
    """Bilinear interpolation at the middle of a pixel, in floating point; 0 to 1."""
    u, v = (
        (axis + 0.5 - pixels.WIDTH / 2 - shift / pixels.FINE) / 3 + 3.5
        for axis, shift in zip((x, y), place, strict=True)
    )
    total = 0.0
    for row in range(8):
        for column in range(8):
            total += max(1 - abs(u - column), 0) * max(1 - abs(v - row), 0) * picture[row, column]
    return total / 16


def test_each_pixel_follows_the_logarithm_of_its_brightness(pictures):
    events = pixels.see(pictures)[1]
    path = pixels.path()
    rng = np.random.default_rng(0)
    for x, y in rng.integers(8, 26, (12, 2)).tolist():
        here = events[(events["x"] == x) & (events["y"] == y)]
        logs = [np.log(0.1 + 0.9 * brightness(pictures[1], x, y, place)) for place in path]
        for step in range(0, pixels.STEPS + 1, 5):
            seen = here[here["t"] <= step * pixels.STEP_US]
            level = logs[0] + (2 * seen["p"] - 1).sum() * 1.0  # the threshold
            assert abs(logs[step] - level) < 1.0 + 2e-3


def test_events_are_sorted_within_the_sensor_and_the_duration(pictures):
    for events in pixels.see(pictures):
        assert 800 < len(events) < 1600
        assert (np.diff(events["t"]) >= 0).all()
        assert events["t"][0] >= 0
        assert events["t"][-1] <= 300_000
        assert min(events["x"].min(), events["y"].min()) >= 0
        assert max(events["x"].max(), events["y"].max()) < 34
        assert set(events["p"]) == {0, 1}
    assert len(pixels.see(np.zeros((1, 8, 8), np.int64))[0]) == 0


def test_pictures_do_not_depend_on_their_company(pictures):
    alone = pixels.see(pictures[1:2])[0]
    assert np.array_equal(alone, pixels.see(pictures)[1])


def test_the_set_is_made_once_and_is_what_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("PUMICE_CACHE", str(tmp_path))
    task = task_config(yaml.safe_load((CONFIGS / "task" / "saccade-digits.yaml").read_text()))
    train = open_recordings(task, "train")
    monkeypatch.setattr(digits, "see", None)  # not called again
    test = open_recordings(task, "test")
    assert (len(train.labels), len(test.labels)) == (1198, 599)
    assert np.array_equal(np.concatenate([train.labels, test.labels]), load_digits().target)
    everything = [recordings.events(index) for recordings in (train, test) for index in range(len(recordings.labels))]
    assert digits.digest(everything) == digits.DIGEST
    assert test.report(5).events == len(test.events(5)) == test.lengths[5]
    assert np.array_equal(test.events(5, 3, 7), test.events(5)[3:7])


def test_a_damaged_copy_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("PUMICE_CACHE", str(tmp_path))
    made = []
    monkeypatch.setattr(digits, "see", lambda pictures: made.append(1) or pixels.see(pictures[:2]))
    digits.open_digits("train")  # two recordings alone: not what they should be
    digits.open_digits("train")
    assert len(made) == 2
