"""Times, tokens and the batch against plain loops."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.train.data.events.collate import collate, padded_length
from pumice.train.data.recordings import make_events
from pumice.train.data.times import intervals, tick_microseconds, ticks
from pumice.train.data.tokens import pixel_tokens, product_tokens, vocabulary, x_major_tokens

times = st.lists(st.integers(-(10**6), 10**7), min_size=1, max_size=60).map(lambda t: np.array(sorted(t)))
tick_lengths = st.sampled_from([0.001, 0.1, 0.5, 1.0, 3.0])


@given(t=times, tick_ms=tick_lengths)
def test_ticks_are_rounded_half_up_from_the_first_event(t, tick_ms):
    tick_us = tick_microseconds(tick_ms)
    expected = [floor(Fraction(int(value - t[0]), tick_us) + Fraction(1, 2)) for value in t]
    assert ticks(t, tick_us).tolist() == expected


@given(t=times, tick_ms=tick_lengths)
def test_causal_intervals_sum_to_the_rounded_absolute_time(t, tick_ms):
    dt, pool_dt = intervals(t, tick_ms)
    assert dt.dtype == pool_dt.dtype == np.float32
    assert len(dt) == len(t)
    assert dt[0] == pool_dt[0] == 0
    counts = np.rint(dt.astype(np.float64) / tick_ms).astype(np.int64)
    assert np.array_equal((counts * tick_ms).astype(np.float32), dt)
    assert counts.cumsum().tolist() == ticks(t, tick_microseconds(tick_ms)).tolist()
    assert np.allclose(pool_dt[1:], np.diff(t) / 1000, rtol=1e-6)


@given(t=times)
def test_next_pairing_shifts_the_causal_one(t):
    causal, following = intervals(t, 0.5, "causal"), intervals(t, 0.5, "next")
    for before, after in zip(causal, following, strict=True):
        assert np.array_equal(after, before[1:])


@given(t=times)
def test_exact_times_are_exact(t):
    dt, pool_dt = intervals(t, None)
    assert np.array_equal(dt, pool_dt)
    recovered = np.rint(dt.astype(np.float64) * 1000).astype(np.int64)
    assert np.array_equal(recovered[1:], np.diff(t))


@pytest.mark.parametrize("tick_ms", [0, -1, 0.0005, 1 / 3])
def test_ticks_of_no_whole_microsecond_are_refused(tick_ms):
    with pytest.raises(PumiceError, match="whole number of microseconds"):
        tick_microseconds(tick_ms)


def test_product_tokens_collide_and_pixel_tokens_do_not():
    x, y, p = (axis.ravel() for axis in np.meshgrid(range(128), range(128), range(2)))
    events, sensor = make_events(np.zeros(len(x)), x, y, p), (128, 128, 2)
    assert vocabulary("product", sensor) == vocabulary("pixel", sensor) == 32768
    product, pixel = product_tokens(events, sensor), pixel_tokens(events, sensor)
    assert len(np.unique(pixel)) == 32768
    assert len(np.unique(product[p == 0])) == 4647
    assert product.max() < 32768
    for k in (0, 777, 32767):
        assert product[k] == x[k] * y[k] + 16384 * p[k]
        assert pixel[k] == x[k] + 128 * y[k] + 16384 * p[k]


def test_x_major_tokens_count_the_rows_of_a_column_first():
    x, y, p = np.meshgrid(np.arange(5), np.arange(3), np.arange(2), indexing="ij")
    events = make_events(np.zeros(30), x.ravel(), y.ravel(), p.ravel())
    tokens = x_major_tokens(events, (5, 3, 2))
    assert sorted(tokens.tolist()) == list(range(30))
    assert all(token == 15 * e["p"] + 3 * e["x"] + e["y"] for token, e in zip(tokens, events, strict=True))


def test_tokens_that_do_not_fit_the_sensor_are_refused():
    with pytest.raises(PumiceError, match="choose pixel, product"):
        vocabulary("channel", (128, 128, 2))
    with pytest.raises(PumiceError, match="unknown"):
        vocabulary("colour", (700,))


@given(longest=st.integers(0, 5000), unit=st.integers(1, 1000))
def test_padded_length_is_the_next_multiple(longest, unit):
    length = padded_length(longest, unit)
    assert length % unit == 0
    assert length >= max(longest, 1)
    assert length - unit < max(longest, 1)


def test_collate_pads_at_the_end():
    long = make_events(np.array([1000, 1300, 4000]), np.array([5, 699, 0]))
    samples = [long, make_events(np.array([7]), np.array([3]))]
    batch = collate(samples, np.eye(2), sensor=(700,), tick_ms=0.5, pad_unit=4)
    assert batch.tokens.tolist() == [[5, 699, 0, -1], [3, -1, -1, -1]]
    assert batch.dt.tolist() == [[0, 0.5, 2.5, 0], [0, 0, 0, 0]]
    assert torch.equal(batch.pool_dt, torch.tensor([[0, 0.3, 2.7, 0], [0, 0, 0, 0]]))
    assert batch.lengths.tolist() == [3, 1]
    types = [tensor.dtype for tensor in batch]
    assert types == [torch.int64, torch.float32, torch.float32, torch.int64, torch.float32]


def test_collate_drops_the_last_event_in_next_pairing_and_takes_empty_samples():
    samples = [make_events(np.array([1000, 1300, 4000]), np.array([5, 699, 0])), make_events(np.zeros(0), np.zeros(0))]
    batch = collate(samples, np.eye(2), sensor=(700,), tick_ms=None, pairing="next")
    assert batch.tokens.tolist() == [[5, 699], [-1, -1]]
    assert batch.dt[0].tolist() == pytest.approx([0.3, 2.7])
    assert batch.lengths.tolist() == [2, 0]
