"""Statistics and rasters of event data."""

import matplotlib.image
import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.train.data.recordings import make_events
from pumice.train.data.show import choose, draw, show, statistics
from pumice.train.data.task import TaskConfig
from rich.console import Console


class Handmade:
    """Two recordings: gaps of 0, 1, 1 and 3 ticks of 0.5 ms, and a lone event."""

    name = "handmade"
    class_names = ("a", "b")
    labels = np.array([0, 1])
    lengths = np.array([5, 1])
    speakers = np.array([4, 4])

    def events(self, index, start=0, stop=None):
        times = [[1000, 1100, 1600, 2100, 3500], [7]][index]
        return make_events(np.array(times), np.arange(len(times)))[start:stop]


def test_statistics_of_a_handmade_set():
    found = statistics(Handmade(), tick_ms=0.5)
    assert (found.recordings, found.classes, found.per_class, found.voices) == (2, 2, (1, 1), 1)
    assert (found.events, found.fewest, found.most) == (3.0, 1, 5)
    assert found.longest_s == pytest.approx(2.5e-3)
    assert found.rate == pytest.approx(6 / 2.5e-3)
    # From the first event on: 0, 100, 600, 1100, 2500 us are ticks 0, 0, 1, 2, 5.
    assert found.zero_gaps == 0.25
    assert found.mean_gap == 5 / 4
    assert found.largest_gap == 3


def test_an_empty_set_is_refused():
    empty = Handmade()
    empty.labels = np.array([], int)
    with pytest.raises(PumiceError, match="no recordings"):
        statistics(empty)


def test_choice_covers_the_classes_first():
    labels = np.repeat(np.arange(5), 10)
    assert [labels[i] for i in choose(labels, 5)] == [0, 1, 2, 3, 4]
    assert len(set(choose(labels, 12))) == 12
    assert choose(labels, 12, seed=1) != choose(labels, 12, seed=2)
    assert len(choose(labels, 99)) == 50


def test_raster_holds_the_spikes(tmp_path):
    draw(Handmade(), [0, 1], tmp_path / "raster.png")
    picture = matplotlib.image.imread(tmp_path / "raster.png")
    assert picture.shape[0] > 200
    assert picture[..., :3].min() < 0.5


def test_show_prints_a_table_and_writes_rasters(tmp_path):
    task = TaskConfig(name="spoken-digits", source="spoken-digits", num_classes=20, sensor=(700,))
    console = Console(record=True, width=120)
    pictures = show(task, tmp_path, samples=4, console=console)
    assert [path.name for path in pictures] == ["spoken-digits-train.png", "spoken-digits-test.png"]
    assert all(path.stat().st_size > 10_000 for path in pictures)
    text = console.export_text()
    assert "800" in text
    assert "events per second" in text
    with pytest.raises(PumiceError, match="at least 1"):
        show(task, tmp_path, samples=0)
