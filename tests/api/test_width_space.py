"""What a search over widths may choose, and where it starts."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.api.bench import Measured
from pumice.api.presets import preset
from pumice.api.width_space import COSTS, METHOD, QUALITIES, TICK, Space, _prices, pareto_set
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.widths import Place

BASE = preset("quantize", "w8a8")
LAYER = "stages.0.layers.0"


def entry(place, to, kl, saved, refused=None):
    return {"place": place, "to": to, "kl": kl, "saved_parameter_bits": saved, "refused": refused}


ENTRIES = [
    entry("embedding", 4, 0.02, 1000),
    entry("embedding", 2, 0.50, 1500),
    entry(f"{LAYER}.gate", 4, 0.0115, 100),
    entry(f"{LAYER}.gate", 2, 0.012, 150),
    entry(f"{LAYER}.state", 8, None, None, "its dead zone is too large"),
]


@pytest.fixture
def space():
    return Space.of(BASE, ENTRIES, {"weights": [2, 4, 6, 20], "states": [12]}, ["max", "mse"], [0.5, 1.0])


def test_choices_are_what_is_lower_and_what_there_is(space):
    assert space.choices == {
        "embedding": (2, 4, 6, 8),
        f"{LAYER}.gate": (2, 4, 6, 8),
        f"{LAYER}.state": (12, 16),
        METHOD: ("max", "mse"),
        TICK: (0.5, 1.0),
    }
    assert Space.of(BASE, ENTRIES, {"constants": [8]}).choices == {}  # no entry is of a constant


def test_settings_of_a_point_are_those_that_it_chose(space):
    point = {"embedding": 1, f"{LAYER}.gate": 3, f"{LAYER}.state": 0, METHOD: 1, TICK: 1}
    config = QuantizationConfig.from_mapping(space.settings(point))
    assert (config.widths.embedding, config.layer(LAYER).gate) == (4, 8)
    assert (config.layer(LAYER).state, config.layer(LAYER).read) == (12, 12)
    assert (config.calibration.method, config.tick_ms) == ("mse", 1.0)
    assert space.changes(point)["layers"] == {LAYER: {"state": 12, "read": 12}}  # what stays is not named
    for numbers in itertools.product(*(range(len(values)) for values in space.choices.values())):
        point = dict(zip(space.choices, numbers, strict=True))
        config = QuantizationConfig.from_mapping(space.settings(point))
        for name, values in space.places.items():
            assert Place.named(name).bits(config) == values[point[name]]


def test_the_widest_point_changes_nothing(space):
    changes = Space.of(BASE, ENTRIES, {"weights": [4]}).changes
    assert changes(Space.of(BASE, ENTRIES, {"weights": [4]}).widest) == {}
    assert space.changes(space.widest) == {"calibration": {"method": "max"}, "tick_ms": 0.5}


def test_it_starts_with_what_costs_least_a_bit_that_it_saves():
    space = Space.of(BASE, ENTRIES, {"weights": [2, 4]})
    gate = f"{LAYER}.gate"
    found = [(point["embedding"], point[gate]) for point in space.first(ENTRIES, 0.01, "bytes")]
    assert found[:3] == [(2, 2), (1, 1), (0, 0)]  # as they are, all of 4 bits, all of 2
    # a bit saved: embedding to 4 costs 1e-5, gate to 4 1.5e-5, from there to 2 1e-5, embedding from 4 to 2 1e-3
    assert found[3:] == [(1, 2), (1, 0)]  # and (1, 1) and (0, 0), which were there


def test_widths_that_were_not_tried_lie_between_those_that_were():
    """By the logarithm between two, by a quarter a bit beyond; what they save is proportional to the bits."""
    (embedding, gate, state) = (
        _prices(values, ENTRIES, place, 0.01, "bytes")
        for place, values in (
            ("embedding", (2, 3, 4, 6, 8)),
            (f"{LAYER}.gate", (2, 5, 8)),
            (f"{LAYER}.state", (6, 8, 12, 16)),
        )
    )
    assert embedding[0] == pytest.approx((0.49, 1500))
    assert embedding[1] == pytest.approx((math.sqrt(0.49 * 0.01), 1250))
    assert embedding[2:] == [pytest.approx((0.01, 1000)), pytest.approx((0.01 / 16, 500)), (0.0, 0.0)]
    assert gate[1] == pytest.approx((0.0015 / 4, 75))
    assert state == [None, None, None, (0.0, 0.0)]  # 8 bits are refused, of 12 nothing is known


def test_the_way_is_as_long_as_it_may_be_and_ends_at_the_narrowest():
    space = Space.of(BASE, ENTRIES, {"weights": [2, 3, 4, 5, 6, 7]})
    whole = space.first(ENTRIES, 0.01, "bytes")
    few = space.first(ENTRIES, 0.01, "bytes", most=3)
    assert len(few) < len(whole) <= 1 + 6 + 12
    narrowest = {"embedding": 0, f"{LAYER}.gate": 0}
    assert narrowest in few
    assert all(point in whole for point in few)


rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2)), max_size=14)


@given(rows)
def test_the_pareto_set_is_what_no_other_dominates(values):
    found = pareto_set(values)
    for number, own in enumerate(values):
        better = [other for other in values if other != own and all(a <= b for a, b in zip(other, own, strict=True))]
        first = values.index(own) == number
        assert (number in found) == (not better and first)


def test_objectives_are_the_less_the_better():
    good = Measured(kl=1e-4, same_class=99, correct=95, decisions=100, parameter_bits=800, state_bits=80, energy_pj=2e3)
    bad = Measured(
        kl=1e-2, same_class=90, correct=85, decisions=100, parameter_bits=1600, state_bits=160, energy_pj=4e3
    )
    for name, of in QUALITIES.items():
        assert of(good) < of(bad), name
    assert QUALITIES["divergence"](good) == pytest.approx(-4)
    assert QUALITIES["accuracy"](good) == -0.95
    assert QUALITIES["agreement"](good) == -0.99
    assert math.isfinite(QUALITIES["divergence"](Measured(kl=0.0)))
    assert (COSTS["bytes"](good), COSTS["state_bytes"](good), COSTS["energy_nj"](good)) == (100, 10, 2)
