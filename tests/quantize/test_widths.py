"""Single widths: what a model has of them, what they are of, and the settings that change one alone."""

from __future__ import annotations

from dataclasses import fields

import pytest
from pumice.api.presets import merged
from pumice.errors import PumiceError
from pumice.quantize.config import LIMITS, QuantizationConfig, Widths
from pumice.quantize.widths import KIND_OF, KINDS, Place, lowered, places_of

BOTH = {"stages.0.layers.0", "stages.0.layers.1"}


def test_every_width_of_the_settings_is_of_some_kind():
    assert KIND_OF.keys() == LIMITS.keys() == {item.name for item in fields(Widths)}
    assert set(KIND_OF.values()) == set(KINDS)


def test_places_of_a_model_are_those_that_its_settings_take(build):
    places = places_of(build().qat)
    layers = {place.layer for place in places} - {""}
    assert layers
    assert all(layer.startswith("stages.") for layer in layers)
    outside = {place.width for place in places if not place.layer}
    assert {"embedding", "decoder"} <= outside
    assert not outside & {place.width for place in places if place.layer}
    for place in places:
        settings = QuantizationConfig.from_mapping(place.changes(LIMITS[place.width][1], QuantizationConfig()))
        assert place.bits(settings) == LIMITS[place.width][1]
        assert Place.named(place.name) == place
        others = [other for other in places if other != place]
        assert all(other.bits(settings) == other.bits(QuantizationConfig()) for other in others)


def test_what_is_read_of_a_state_is_never_wider_than_it():
    place, config = Place("stages.0.layers.0", "state"), QuantizationConfig()
    assert place.changes(12, config) == {"layers": {"stages.0.layers.0": {"state": 12, "read": 12}}}
    assert place.changes(20, config) == {"layers": {"stages.0.layers.0": {"state": 20, "read": 16}}}
    with pytest.raises(PumiceError, match="C cannot read 16 bits of a state of 12"):
        QuantizationConfig.from_mapping({"layers": {"stages.0.layers.0": {"state": 12}}})


def test_changes_leave_what_a_layer_was_given_already():
    settings = {"layers": {"stages.0.layers.0": {"gate": 4}}, "widths": {"gate": 6}}
    place = Place("stages.0.layers.0", "input")
    changed = QuantizationConfig.from_mapping(
        merged(settings, place.changes(3, QuantizationConfig.from_mapping(settings)))
    )
    assert (place.bits(changed), Place("stages.0.layers.0", "gate").bits(changed)) == (3, 4)
    assert (changed.widths.gate, changed.widths.input) == (6, 8)


def test_only_what_is_lower_and_allowed_is_tried():
    places = [Place("a", "gate"), Place("a", "state"), Place("", "decoder"), Place("a", "decay")]
    to = {"weights": [8, 4, 12, 4], "states": [4, 8], "constants": []}
    found = lowered(places, to, QuantizationConfig())
    assert found == [
        (places[0], 4),
        (places[1], 8),  # 4 bits of state are below its limit
        (places[2], 8),
        (places[2], 4),
    ]
