"""A classifier from plain configuration data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator

from .config import SpikingSSMConfig
from .network import SpikingSSM


def build_spikingssm(settings: Mapping[str, Any], *, num_classes: int, in_features: int, seed: int) -> SpikingSSM:
    """Build a seeded `SpikingSSM` from a configs/model/spikingssm file's values.

    Args:
        settings: the values of the model group.
        num_classes: outputs of the task.
        in_features: width of the task's input.
        seed: of the initial weights.

    Raises:
        PumiceError: a setting that `SpikingSSMConfig` refuses.
    """
    config = SpikingSSMConfig.from_mapping(settings, num_classes=num_classes, in_features=in_features)
    return SpikingSSM(config, Generator().manual_seed(seed))
