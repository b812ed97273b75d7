"""Units, ranges and codings are looked at when a file is opened: the right values, or one sentence."""

import csv
import textwrap

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.train.data.plausibility import LONGEST_US, Plausibility, look_at, overview, polarity_on, unwrap, write_csv
from pumice.train.data.recordings import make_events
from pumice.train.data.sources.dvs_gesture import DvsGestureRecordings
from pumice.train.data.sources.shd_layout import ShdRecordings
from pumice.train.data.times import microseconds

WRAP = 1 << 32


class Named:
    """What tonic knows of DVS-Gesture recordings."""

    classes = ("hand", "arm")
    location_on_system = "gestures"

    def __init__(self, files):
        self.data = [str(file) for file in files]
        self.targets = self.users = [0] * len(files)


@pytest.fixture
def dvs(tmp_path):
    """``dvs(p, p, ..., t_ms=...)``: recordings of these polarities."""

    def write(*polarities, t_ms=None, unwrap_times=False):
        files = []
        for number, p in enumerate(polarities):
            t = np.arange(len(p)) if t_ms is None else t_ms
            place = np.arange(len(p)) % 128
            files.append(tmp_path / f"{number}.npy")
            np.save(files[-1], np.stack([place, 127 - place, p, t], axis=1).astype(float))
        return DvsGestureRecordings(Named(files), unwrap_times)

    return write


@pytest.fixture
def shd(tmp_path, shd_file):
    """``shd(seconds, ...)``: recordings of these times, of the type of the first."""

    def write(*seconds, **options):
        path = shd_file(tmp_path / "x.h5", [len(times) for times in seconds])
        kind = np.asarray(seconds[0]).dtype
        with h5py.File(path, "r+") as file:
            del file["spikes/times"]
            rows = file.create_dataset("spikes/times", (len(seconds),), h5py.vlen_dtype(kind))
            for row, times in enumerate(seconds):
                rows[row] = np.asarray(times, kind)
        return ShdRecordings(path, 700, 20, **options)

    return write


@pytest.mark.parametrize(
    ("coded", "seen"),
    [([0, 1, 1], (0, 1)), ([-1, 1, 1], (-1, 1)), ([1, 2, 2], (1, 2)), ([False, True, True], (0, 1))],
)
def test_every_coding_of_polarities_gives_two(dvs, coded, seen):
    recordings = dvs(coded, coded[1:])
    assert recordings.events(0)["p"].tolist() == [0, 1, 1]
    assert recordings.events(1)["p"].tolist() == [1, 1]  # told by the set, not by the one recording
    assert recordings.events(0, 1, 2)["p"].tolist() == [1]
    assert recordings.report(0).polarities == seen


@pytest.mark.parametrize("coded", [[0, 1, 2], [0, 255], [0.5, 1], [np.nan, 1]])
def test_other_codings_are_refused(dvs, coded):
    with pytest.raises(PumiceError, match="known are 0 and 1, -1 and 1, 1 and 2: recode them"):
        dvs(coded)


def test_a_recording_that_differs_from_its_set_is_named(dvs):
    late = np.ones(5000)
    late[-1] = 2  # behind the events that tell the coding
    recordings = dvs([0, 1, 1], late)
    with pytest.raises(PumiceError, match=r"1\.npy has the polarities|1\.npy codes polarities otherwise"):
        recordings.events(1)
    assert polarity_on("x", np.array([1])) == 1


def test_milliseconds_are_rounded_to_microseconds(dvs):
    exact = np.arange(10_000)
    recordings = dvs(exact % 2, t_ms=exact / 1000)
    assert np.array_equal(recordings.events(0)["t"], exact)
    assert (np.trunc(exact / 1000 * 1000) != exact).any()


def test_wide_seconds_are_rounded_and_float16_is_read_as_published(shd):
    exact = np.arange(0, 336_000, 77)
    assert np.array_equal(shd(exact / 1e6).events(0)["t"], exact)
    assert ((exact / 1e6 * 1e6).astype(np.int64) != exact).any()
    half = (exact / 1e6).astype(np.float16)
    assert np.array_equal(shd(half).events(0)["t"], (half.astype(np.float64) * 1e6).astype(np.int64))


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        ([0.0, 1.0, 1e30], r"recording 1 of .*x.h5: event 2 is at 1e\+30 s, which is no time of a recording"),
        (
            [0.0, 1.0, 1e5],
            r"recording 1 of .*lasts 100,000 s, more than a day, with 99,999 s before the event at 100,000",
        ),
        ([0.0, 4294.9, 0.1], r"recording 1 of .*: event 2 lies 4,294,800,000 us before.*task\.unwrap_times=true"),
    ],
)
def test_times_that_cannot_be_are_refused_when_the_file_is_opened(shd, seconds, reason):
    with pytest.raises(PumiceError, match=reason):
        shd([0.0, 0.1], seconds)


def test_whole_numbers_are_no_seconds(shd):
    with pytest.raises(PumiceError, match="its times are int64, not seconds in floating point"):
        shd(np.array([0, 1000]))


@pytest.mark.parametrize("late", [np.nan, np.inf, 1e30])
def test_gesture_times_that_cannot_be_are_refused(dvs, late):
    with pytest.raises(PumiceError, match=r"0\.npy: event 1 is at .* ms, which is no time"):
        dvs([0, 1, 0], t_ms=[0, late, 2]).events(0)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50), st.integers(0, WRAP - 1))
def test_unwrapping_restores_the_times(steps, start):
    times = start + np.cumsum(np.array(steps, dtype=np.int64))
    assert np.array_equal(unwrap(times % WRAP) - unwrap(times % WRAP)[0], times - times[0])
    signed = (times % WRAP).astype(np.uint32).view(np.int32).astype(np.int64)
    assert np.array_equal(unwrap(signed) - unwrap(signed)[0], times - times[0])


def test_a_clock_is_counted_on_when_asked(dvs, shd):
    stored = [4294967.0, 4294967.25, 0.1, 1.0]
    recordings = dvs([0, 1, 0, 1], t_ms=stored, unwrap_times=True)
    expected = [4294967000, 4294967250, WRAP + 100, WRAP + 1000]
    assert recordings.events(0)["t"].tolist() == expected
    assert recordings.events(0, 2)["t"].tolist() == expected[2:]
    assert recordings.report(0).wraps == 1
    with pytest.raises(PumiceError, match=r"0\.npy: event 2 lies 4,294,967,150 us before"):
        dvs([0, 1, 0, 1], t_ms=stored).events(0)
    opened = shd([0.0], np.array(stored) / 1000, unwrap_times=True)
    assert opened.events(1)["t"].tolist() == expected
    assert opened.report(1).duration_us == WRAP + 1000 - 4294967000


def test_what_is_reported_of_a_recording():
    t, x, y = np.array([5, 100, 40, 900]), np.array([3, 0, 9, 2]), np.array([1, 1, 4, 0])
    found = look_at("here", t, (x, y), (10, 5), np.array([-1, 1, 1, 1]))
    assert found == Plausibility(4, 895, 800, 1, 0, (0, 0), (9, 4), (-1, 1))
    assert look_at("here", t[:0], (x[:0],), (10,)) == Plausibility(0, 0, 0, 0, 0, (0,), (0,))
    with pytest.raises(PumiceError, match=r"2 of 4 events lie outside 3x5 pixels, the first is event 0 at \(3, 1\)"):
        look_at("here", t, (x, y), (3, 5))
    with pytest.raises(PumiceError, match=r"first is event 1 at \(nan\)"):
        look_at("here", t, (np.array([0, np.nan, 1, 2]),), (5,))
    with pytest.raises(PumiceError, match=r"first is event 2 at \(0\.5\)"):
        look_at("here", t, (np.array([0, 1, 0.5, 2]),), (5,))
    look_at("here", np.array([0, LONGEST_US]), (x[:2],), (10,))
    with pytest.raises(PumiceError, match="more than a day"):
        look_at("here", np.array([0, LONGEST_US + 1]), (x[:2],), (10,))


def test_the_overview_names_what_stands_out(tmp_path):
    reports = [
        Plausibility(50, 10**6, 1000, 0, 0, (0,), (5,)),
        Plausibility(7, 3 * 10**6, 500_000, 2, 0, (1,), (9,)),
    ]
    assert overview(reports) == {
        "shortest": "7 events (recording 1)",
        "longest": "3.000 s (recording 1)",
        "largest gap": "0.500 s (recording 1)",
        "events out of order": "2 in 1 recordings (first 1)",
        "clocks that began anew": "none",
        "x seen": "0 to 9",
    }
    write_csv(reports, tmp_path / "look.csv")
    with (tmp_path / "look.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["largest_gap_us"] for row in rows] == ["1000", "500000"]
    assert rows[1]["recording"] == "1"


def test_event_arrays_take_no_times_or_polarities_that_cannot_be():
    x = np.zeros(2)
    with pytest.raises(PumiceError, match="event 1 is at nan us"):
        make_events(np.array([0, np.nan]), x)
    with pytest.raises(PumiceError, match="recode them, for example as p > 0"):
        make_events(np.arange(2), x, x, np.array([-1, 1]))
    assert make_events(np.array([0.4, 2.9]), x, x, np.array([False, True]))["t"].tolist() == [0, 3]


@pytest.mark.parametrize("kind", [np.uint64, np.int64, np.float64])
def test_times_beyond_float64_are_refused(kind):
    with pytest.raises(ValueError, match=r"event 1 is at .* ms, which is no time"):
        microseconds(np.array([0, 2**62]).astype(kind), 1000)


MEMORY = 1 << 30
LATE = """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from pumice.errors import PumiceError
    from pumice.train.data.show import show, statistics
    from pumice.train.data.sequences.kinds import sequence_task
    from pumice.train.data.sources.shd_layout import ShdRecordings
    from pumice.train.data.task import TaskConfig
    root = Path(sys.argv[1])
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)
    print(statistics(ShdRecordings(root / "SHD" / "shd_train.h5", 700, 20)).largest_gap)
    values = {"kind": "binned", "name": "shd", "source": "shd", "root": str(root), "num_classes": 20, "channels": 700}
    try:
        sequence_task(values).open("train")
    except PumiceError as error:
        print(error)
    print(len(sequence_task(values | {"most_bins": 30_000_000}).open("train").lengths))
"""


def test_one_late_event_takes_no_memory_and_its_recording_is_named(tmp_path, shd_file, start):
    path = shd_file(tmp_path / "SHD" / "shd_train.h5", [8] * 40)
    with h5py.File(path, "r+") as file:
        del file["spikes/times"]
        rows = file.create_dataset("spikes/times", (40,), h5py.vlen_dtype(np.float64))
        for row in range(40):
            rows[row] = np.arange(8) / 8
        rows[17] = [0, 0, 0, 0, 0, 0, 0, 80_000.0]  # 22 hours: 1.2 GiB of tick counts, 11 GB of bins
    script = textwrap.dedent(LATE)
    reading = start(str(tmp_path), str(MEMORY), code=script)
    code, told = reading.ended()
    assert code == 0, told
    largest, refused, opened = reading.printed.splitlines()
    assert int(largest) == 160_000_000
    assert f"recording 17 of {path} takes 20,000,000 bins of 4 ms, at most 10,000 are allowed" in refused
    assert "its largest gap is 80,000.000 s" in refused
    assert opened == "40"
