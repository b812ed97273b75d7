"""A classifier from plain configuration data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator

from .config import SpikingS5Config
from .network import SpikingS5


def build_spikings5(settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **more: Any) -> SpikingS5:
    """Build a seeded `SpikingS5` from a configs/model/spikings5 file's values.

    Args:
        settings: the values of the model group.
        num_classes: classes of the task.
        seed: of the initial weights; None for zeros, to be loaded over.
        more: further settings that the task decides: ``vocab`` or ``in_features``.

    Raises:
        PumiceError: a setting that `SpikingS5Config` refuses.
    """
    config = SpikingS5Config.from_mapping(settings, num_classes=num_classes, **more)
    return SpikingS5(config, None if seed is None else Generator().manual_seed(seed), initial=seed is not None)
