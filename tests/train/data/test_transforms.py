"""Augmentations keep order, range and counts, never change their input, and follow from their generator alone."""

import numpy as np
import pytest
import tonic.transforms
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.train.data.recordings import make_events, sort_by_time
from pumice.train.data.transforms.compose import build_augmentation
from pumice.train.data.transforms.drop import DropEvent, DropEventChunk
from pumice.train.data.transforms.noise import UniformNoise, add_noise
from pumice.train.data.transforms.spatial import Roll, Rotate, Scale, SpatialJitter, map_plane
from pumice.train.data.transforms.temporal import TimeJitter, TimeSkew

CHANNELS, CAMERA = (700,), (128, 128, 2)
SPEECH = {
    "drop_event": {"p": 0.1},
    "drop_event_chunk": {"p": 0.3, "largest": 0.1},
    "spatial_jitter": {"std": 3.0},
    "time_skew": {"factor": 1.2},
    "time_jitter": {"std_us": 50},
    "uniform_noise": {"most": 35},
}
GESTURE = SPEECH | {
    "roll": {"p": 0.5, "most": 32},
    "rotate": {"p": 0.5, "degrees": 10},
    "scale": {"p": 0.5, "factor": 1.2},
}
seeds = st.integers(0, 2**32)


def channel_events(n, seed=0):
    rng = np.random.default_rng(seed)
    return make_events(np.sort(rng.integers(0, 10**6, n)), rng.integers(0, 700, n))


def pixel_events(n, seed=0):
    rng = np.random.default_rng(seed)
    return make_events(np.sort(rng.integers(0, 10**6, n)), *rng.integers(0, 128, (2, n)), rng.integers(0, 2, n))


def rows(events):
    return sorted(events.tolist())


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 300), seed=seeds, camera=st.booleans())
def test_augmented_events_are_sorted_in_range_and_reproducible(n, seed, camera):
    events, sensor, config = (
        (pixel_events(n, seed), CAMERA, GESTURE) if camera else (channel_events(n, seed), CHANNELS, SPEECH)
    )
    before = events.copy()
    augment = build_augmentation(config, sensor)
    first, second = (augment(events, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(events, before)
    assert np.array_equal(first, second)
    assert first.dtype == events.dtype
    assert len(first) >= 1
    assert (np.diff(first["t"]) >= 0).all()
    for axis, size in zip(("x", "y", "p"), sensor, strict=False):
        assert first[axis].min() >= 0
        assert first[axis].max() < size


@given(n=st.integers(1, 400), p=st.floats(0, 0.9), seed=seeds)
def test_drop_event_removes_as_many_as_tonic(n, p, seed):
    events = channel_events(n)
    left = DropEvent(p)(events, np.random.default_rng(seed))
    assert len(left) == len(tonic.transforms.DropEvent(p)(events))
    assert set(rows(left)) <= set(rows(events))
    assert (np.diff(left["t"]) >= 0).all()


@given(n=st.integers(1, 400), largest=st.floats(0, 0.9), seed=seeds)
def test_drop_event_chunk_removes_one_run(n, largest, seed):
    events = make_events(np.arange(n), np.zeros(n))
    left = DropEventChunk(1.0, largest)(events, np.random.default_rng(seed))["t"]
    most = int(largest * n)
    assert n - len(left) <= most
    assert n - len(left) >= min(most, 1)
    assert (np.diff(np.concatenate([[-1], left, [n]])) > 1).sum() <= 1


def test_drop_event_chunk_happens_with_its_probability():
    rng = np.random.default_rng(0)
    events = channel_events(100)
    dropped = sum(len(DropEventChunk(0.3, 0.02)(events, rng)) < 100 for _ in range(2000))
    assert dropped / 2000 == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(("rounding", "share"), [("truncate", 0.069), ("nearest", 0.363)])
def test_spatial_jitter_moves_the_share_of_events_that_its_rounding_lets_move(rounding, share):
    events = make_events(np.arange(100_000), np.full(100_000, 350))
    x = SpatialJitter(0.55, CHANNELS, rounding)(events, np.random.default_rng(0))["x"]
    assert (x != 350).mean() == pytest.approx(share, abs=0.005)
    assert x.mean() == pytest.approx(350, abs=0.01)


def test_spatial_jitter_moves_both_axes_of_a_camera_and_drops_what_leaves():
    events = make_events(np.arange(50_000), np.zeros(50_000), np.full(50_000, 64), np.zeros(50_000))
    moved = SpatialJitter(0.3**0.5, CAMERA)(events, np.random.default_rng(0))
    stayed = (moved["y"] == 64).mean()
    assert stayed == pytest.approx(0.639, abs=0.01)
    assert len(moved) / 50_000 == pytest.approx((1 + 0.639) / 2, abs=0.01)


@given(n=st.integers(1, 200), seed=seeds)
def test_time_skew_scales_all_times_by_one_coefficient(n, seed):
    events = channel_events(n)
    skewed = TimeSkew(1.2)(events, np.random.default_rng(seed))
    assert np.array_equal(skewed["x"], events["x"])
    coefficient = np.random.default_rng(seed).uniform(1 / 1.2, 1.2)
    assert np.abs(skewed["t"] - coefficient * events["t"]).max() <= 0.5


def test_time_jitter_has_its_deviation_and_sorts():
    events = make_events(np.zeros(50_000), np.arange(50_000))
    jittered = TimeJitter(20)(events, np.random.default_rng(0))
    assert jittered["t"].std() == pytest.approx(20, rel=0.02)
    assert (np.diff(jittered["t"]) >= 0).all()
    assert not np.array_equal(jittered["x"], events["x"])
    assert np.array_equal(np.sort(jittered["x"]), events["x"])


@given(n=st.integers(1, 200), most=st.integers(0, 100), seed=seeds)
def test_uniform_noise_adds_events_and_changes_none(n, most, seed):
    events = pixel_events(n)
    noisy = UniformNoise(most, CAMERA)(events, np.random.default_rng(seed))
    assert n <= len(noisy) <= n + max(most - 1, 0)
    assert (np.diff(noisy["t"]) >= 0).all()
    noise = rows(noisy)
    for row in rows(events):
        noise.remove(row)
    assert all(events["t"][0] <= row[0] <= events["t"][-1] for row in noise)


def test_noise_reaches_every_channel_and_both_ends():
    events = make_events(np.array([10, 12]), np.array([0, 0]))
    noisy = add_noise(events, 20_000, CHANNELS, np.random.default_rng(0))
    assert set(noisy["x"]) == set(range(700))
    assert set(noisy["t"]) == {10, 11, 12}


def test_roll_moves_all_channels_by_one_offset():
    events = make_events(np.arange(200), np.arange(200) % 50)
    offsets = set()
    for seed in range(60):
        rolled = Roll(1.0, 2, (50,))(events, np.random.default_rng(seed))
        by_offset = {
            offset: [(t, x + offset) for t, x in zip(events["t"], events["x"], strict=True) if 0 <= x + offset < 50]
            for offset in range(-2, 3)
        }
        found = list(zip(rolled["t"], rolled["x"], strict=True))
        offsets |= {offset for offset, expected in by_offset.items() if expected == found}
    assert offsets == {-2, -1, 0, 1, 2}


def test_roll_rotate_and_scale_map_pixels_as_a_plain_loop_does():
    events = pixel_events(300)
    rng = np.random.default_rng(5)
    rng.random()
    dx, dy = rng.integers(-32, 33), rng.integers(-32, 33)
    expected = [(t, x + dx, y + dy, p) for t, x, y, p in events.tolist() if 0 <= x + dx < 128 and 0 <= y + dy < 128]
    assert Roll(1.0, 32, CAMERA)(events, np.random.default_rng(5)).tolist() == expected

    angle = np.deg2rad(10)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = []
    for t, x, y, p in events.tolist():
        u, v = x - 63.5, y - 63.5
        new = (
            round(u * np.cos(angle) - v * np.sin(angle) + 63.5),
            round(u * np.sin(angle) + v * np.cos(angle) + 63.5),
        )
        if min(new) >= 0 and max(new) < 128:
            expected.append((t, *new, p))
    assert map_plane(events, matrix, CAMERA).tolist() == expected


def test_a_quarter_turn_permutes_all_pixels_and_shrinking_keeps_them():
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(128), np.arange(128)))
    events = make_events(np.zeros(len(x)), x, y, np.zeros(len(x)))
    turned = map_plane(events, np.array([[0.0, -1.0], [1.0, 0.0]]), CAMERA)
    assert rows(turned) == rows(events)
    assert len(map_plane(events, np.eye(2) / 1.2, CAMERA)) == len(events)
    assert len(map_plane(events, np.eye(2) * 1.2, CAMERA)) < len(events)


@pytest.mark.parametrize("transform", [Roll(0.3, 32, CAMERA), Rotate(0.3, 10, CAMERA), Scale(0.3, 1.2, CAMERA)])
def test_geometric_transforms_happen_with_their_probability(transform):
    rng = np.random.default_rng(0)
    events = pixel_events(200)
    changed = sum(not np.array_equal(transform(events, rng), events) for _ in range(1000))
    assert changed / 1000 == pytest.approx(0.3, abs=0.06)


def test_events_left_by_nothing_are_returned_unchanged():
    events = make_events(np.array([5]), np.array([0]))
    augment = build_augmentation({"spatial_jitter": {"std": 1000.0}}, CHANNELS)
    outcomes = {augment(events, np.random.default_rng(seed))["x"][0] for seed in range(50)}
    assert 0 in outcomes


def test_sorting_keeps_the_order_of_equal_times():
    events = make_events(np.array([3, 1, 3, 1]), np.array([0, 1, 2, 3]))
    assert sort_by_time(events)["x"].tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"drop_evnt": {"p": 0.1}}, "drop_evnt"),
        ({"drop_event": {"probability": 0.1}}, "takes p"),
        ({"drop_event": {"p": 1.5}}, "drop_event.p=1.5"),
        ({"drop_event": {"p": "often"}}, "drop_event"),
        ({"time_skew": {"factor": 0.5}}, "time_skew.factor=0.5"),
        ({"spatial_jitter": {"std": 1.0, "rounding": "up"}}, "rounding=up"),
        ({"rotate": {"p": 0.3, "degrees": 3}}, "cameras"),
    ],
)
def test_wrong_augmentations_are_refused(config, named):
    with pytest.raises(PumiceError, match=named):
        build_augmentation(config, CHANNELS)


def test_an_augmentation_set_to_none_is_left_out():
    events = channel_events(100)
    augment = build_augmentation({name: None for name in SPEECH}, CHANNELS)
    assert np.array_equal(augment(events, np.random.default_rng(0)), events)


def turned(transform, count=400):
    """Where two pixels, right of and below the centre of 129 x 129, end up, as complex numbers (count, 2)."""
    pair = make_events(np.arange(2), np.array([104, 64]), np.array([64, 104]), np.zeros(2))
    rng = np.random.default_rng(0)
    moved = [transform(pair, rng) for _ in range(count)]
    return np.array([[complex(int(x), int(y)) - (64 + 64j) for _, x, y, _ in events.tolist()] for events in moved])


def test_rotations_keep_the_orientation_and_go_both_ways():
    ends = turned(Rotate(1.0, 30, (129, 129, 2)))
    degrees = np.rad2deg(np.angle(ends[:, 0]))
    assert (degrees.min(), degrees.max()) == pytest.approx((-30, 30), abs=2)
    assert degrees.mean() == pytest.approx(0, abs=3)
    quarter = np.rad2deg(np.angle(ends[:, 1] / ends[:, 0]))
    np.testing.assert_allclose(quarter, 90, atol=3)


def test_scales_go_up_and_down():
    ends = np.abs(turned(Scale(1.0, 1.5, (129, 129, 2)))[:, 0]) / 40
    assert (ends.min(), ends.max()) == pytest.approx((1 / 1.5, 1.5), abs=0.03)
    assert ends.mean() == pytest.approx((1 / 1.5 + 1.5) / 2, abs=0.04)
