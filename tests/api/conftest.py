"""A small model of each family, its samples and labels, and the model quantized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pumice
import pytest

CLASSES = 4
SIZES = {"s5": {"d_model": 8, "d_ssm": 8, "stride": 2}, "adlif": {"hidden": 12}}
INPUTS = {"s5": {"vocab": 20}, "adlif": {"in_features": 5}}


@dataclass
class Made:
    """One family's model, data and program."""

    family: str
    model: Any
    samples: list[Any]
    labels: list[int]
    quantized: Any = None

    @property
    def inputs(self):
        return INPUTS[self.family]

    @property
    def sizes(self):
        return SIZES[self.family]

    @property
    def program(self):
        return self.quantized.program


def sample(family, rng, events):
    if family == "s5":
        return rng.integers(0, 20, events), np.cumsum(rng.integers(0, 3000, events))
    return (rng.random((events, 5)) < 0.3).astype(np.float32), 4000 * np.arange(events)


def make(family):
    rng = np.random.default_rng(0)
    samples = [sample(family, rng, int(events)) for events in rng.integers(12, 40, 12)]
    labels = rng.integers(0, CLASSES, 12).tolist()
    model = pumice.build_model(f"{family}/tiny", num_classes=CLASSES, **INPUTS[family], **SIZES[family])
    return Made(family, model, samples, labels)


@pytest.fixture(params=["s5", "adlif"])
def fresh(request):
    """A model with samples and labels, not quantized."""
    return make(request.param)


@pytest.fixture
def fresh_neurons():
    """The same of neurons alone."""
    return make("adlif")


@pytest.fixture(scope="session", params=["s5", "adlif"])
def made(request):
    """A model that nobody trains, calibrated on its samples."""
    one = make(request.param)
    one.quantized = pumice.quantize(one.model, one.samples)
    return one
