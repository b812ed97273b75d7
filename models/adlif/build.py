"""A network from plain configuration data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator

from .config import AdLIFConfig
from .network import AdLIFNetwork


def build_adlif(settings: Mapping[str, Any], *, num_classes: int, in_features: int, seed: int | None) -> AdLIFNetwork:
    """Build a seeded `AdLIFNetwork` from a configs/model/adlif file's values.

    Args:
        settings: the values of the model group.
        num_classes: outputs of the task.
        in_features: width of the task's input.
        seed: of the initial weights; None for zeros, to be loaded over.

    Raises:
        PumiceError: a setting that `AdLIFConfig` refuses.
    """
    config = AdLIFConfig.from_mapping(settings, num_classes=num_classes, in_features=in_features)
    return AdLIFNetwork(config, None if seed is None else Generator().manual_seed(seed))
