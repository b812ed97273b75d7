"""Events as they come become the tokens and counts of whole recordings; what cannot be is refused or counted."""

import numpy as np
import pytest
from pumice.api.streaming.encoding import Clock, EventEncoder, Pixels, RowEncoder, StepEncoder
from pumice.api.streaming.faults import Faults
from pumice.errors import PumiceError
from pumice.train.data.files.columns import Columns
from pumice.train.data.recordings import make_events
from pumice.train.data.sequences.binned import bin_events
from pumice.train.data.tokens import TOKENS

SIZES = (1, 5, 1000)


def cut(columns, size):
    axes = (columns.t, columns.x, columns.y, columns.p)
    for at in range(0, len(columns.t), size):
        yield Columns(*(None if axis is None else axis[at : at + size] for axis in axes))


def joined(encoder, columns, size):
    parts = [part for each in cut(columns, size) for part in encoder.take(each)] + list(encoder.finish())
    return tuple(np.concatenate([part[k] for part in parts]) for k in (0, 1))


def camera(count=300, seed=0):
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.integers(0, 50, count))
    return Columns(t, rng.integers(0, 9, count), rng.integers(0, 6, count), rng.choice([-1, 1], count))


@pytest.mark.parametrize("token", ["pixel", "x-major", "product"])
@pytest.mark.parametrize("size", SIZES)
def test_tokens_are_those_of_recordings(token, size):
    columns = camera()
    events = make_events(columns.t, columns.x // 2, columns.y // 2, columns.p == 1)
    pixels = Pixels((9, 6, 2), token, 2, (-1, 1))
    tokens, times = joined(EventEncoder(pixels, 1, False, Faults("refuse")), columns, size)
    np.testing.assert_array_equal(tokens, TOKENS[token][0](events, (5, 3, 2)))
    np.testing.assert_array_equal(times, columns.t)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("longest", [900, 40_000, 9_000_000])
def test_counts_are_those_of_recordings(size, longest):
    rng = np.random.default_rng(1)
    t = 12_345 + np.cumsum(rng.integers(0, longest, 60))
    x = rng.integers(0, 20, 60)
    whole = bin_events(make_events(t, x), 20, 4, 3, most_bins=1 << 20)
    counts, times = joined(StepEncoder(Pixels((20,)), 1, False, Faults("refuse"), 4, 3000, 1000), Columns(t, x), size)
    np.testing.assert_array_equal(counts, whole)
    np.testing.assert_array_equal(times, t[0] + 3000 * np.arange(len(whole)))


def test_a_single_step_counts_though_it_is_open():
    encoder = StepEncoder(Pixels((4,)), 1, False, Faults("refuse"), 1, 1000, 1)
    counts, _ = joined(encoder, Columns(np.array([5, 7]), np.array([3, 3])), 1)
    np.testing.assert_array_equal(counts, [[0, 0, 0, 2]])
    assert list(encoder.finish()) == []
    ((counts, times),) = encoder.take(Columns(np.array([8, 3005]), np.array([1, 1])))  # the first one is over
    np.testing.assert_array_equal(counts, [[0, 1, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(times, [1005, 2005])


def test_a_day_of_empty_steps_is_refused():
    encoder = StepEncoder(Pixels((4,)), 1_000_000, False, Faults("skip"), 1, 1000, 1)
    with pytest.raises(PumiceError, match="more than a day of empty steps"):
        list(encoder.take(Columns(np.array([0, 90_000]), np.array([0, 0]))))


WRONG = {
    "outside the sensor": (Columns(np.arange(4), np.array([0, 9, 1, 2.5]), np.zeros(4), np.ones(4)), r"event 1 at \(9"),
    "of no polarity": (Columns(np.arange(4), np.zeros(4), np.zeros(4), np.array([1, 0, 7, 3])), "event 2 has the pol"),
    "out of order": (
        Columns(np.array([5, 7, 6, 4]), *np.zeros((2, 4)), np.ones(4)),
        "event 2 at 6 us lies 1 us",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_is_refused_or_counted(kind):
    columns, sentence = WRONG[kind]
    pixels = Pixels((9, 6, 2), "pixel")
    with pytest.raises(PumiceError, match=sentence) as told:
        list(EventEncoder(pixels, 1, False, Faults("refuse")).take(columns))
    assert "\n" not in str(told.value)
    assert "faults=skip" in str(told.value)
    faults = Faults("skip")
    encoder = EventEncoder(pixels, 1, False, faults)
    ((tokens, times),) = encoder.take(columns)
    assert faults.counts == {kind: 2}
    assert (len(tokens), len(times), encoder.seen) == (2, 2, 4)
    assert encoder.clock.last == times[-1] == columns.t[times[-1] == columns.t][0]
    assert (np.diff(times) >= 0).all()


def test_order_is_kept_from_block_to_block():
    faults = Faults("skip")
    clock = Clock(1000, False, faults)
    assert clock.take(np.array([1, 5]), np.arange(2))[1].all()
    t, taken = clock.take(np.array([4, 5, 6]), np.arange(2, 5))
    np.testing.assert_array_equal(t[taken], [5000, 6000])
    assert (faults.counts["out of order"], clock.last) == (1, 6000)


def test_a_clock_that_begins_anew():
    times = [np.array([0, 2**32 - 10]), np.array([5, 9]), np.array([2**32 - 1, 3])]
    clock, found = Clock(1, True, Faults("refuse")), []
    for part in times:
        t, taken = clock.take(part, np.arange(2))
        assert taken.all()
        found += t.tolist()
    assert found == [0, 2**32 - 10, 2**32 + 5, 2**32 + 9, 2**33 - 1, 2**33 + 3]
    clock = Clock(1, False, Faults("refuse"))
    clock.take(times[0], np.arange(2))
    with pytest.raises(PumiceError, match="a clock of 32 bits begins anew"):
        clock.take(times[1], np.arange(2, 4))


def test_times_that_are_none():
    with pytest.raises(PumiceError, match="no time of a recording"):
        Clock(1, False, Faults("skip")).take(np.array([1e300]), np.arange(1))


def test_rows_with_and_without_times():
    rows = np.arange(12.0).reshape(4, 3)
    plain = RowEncoder(3, 2000, Clock(1, False, Faults("refuse")), timed=False)
    values, times = next(plain.take(rows[:3]))
    np.testing.assert_array_equal(times, [0, 2000, 4000])
    np.testing.assert_array_equal(values, rows[:3])
    assert next(plain.take(rows[3:]))[1].tolist() == [6000]
    timed = RowEncoder(2, 2000, Clock(1000, False, Faults("refuse")), timed=True)
    values, times = next(timed.take(rows))
    assert (values.shape, times.tolist()) == ((4, 2), [0, 3000, 6000, 9000])
    with pytest.raises(PumiceError, match="a row has 3 numbers"):
        list(timed.take(rows[:, :2]))
