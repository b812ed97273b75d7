"""A few test samples that an exported folder is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..program.samples import Sample, shortest
from ..train.settings import SystemSettings, TrainingSettings, read_section
from .build import build_data
from .decisions import make_test_set


def excerpt(
    config: Mapping[str, Any], system: SystemSettings, count: int, events: int | None = None
) -> tuple[list[int], list[Sample]]:
    """The numbers of the ``count`` shortest test samples, and ``events`` of each from its beginning, or all."""
    data = build_data(config, read_section(TrainingSettings, config, "training"), system)
    samples = make_test_set(config, data).samples
    chosen = shortest(samples, count)
    return chosen, [(values[:events], times[:events]) for values, times in (samples[index] for index in chosen)]
