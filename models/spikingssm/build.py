"""A classifier from plain configuration data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator

from .config import SpikingSSMConfig
from .network import SpikingSSM


def build_spikingssm(settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **more: Any) -> SpikingSSM:
    """Build a seeded `SpikingSSM` from a configs/model/spikingssm file's values.

    Args:
        settings: the values of the model group.
        num_classes: outputs of the task.
        seed: of the initial weights; None where they are to be loaded over.
        more: further settings that the task decides: ``in_features`` or ``vocab``.

    Raises:
        PumiceError: a setting that `SpikingSSMConfig` refuses.
    """
    config = SpikingSSMConfig.from_mapping(settings, num_classes=num_classes, **more)
    return SpikingSSM(config, Generator().manual_seed(0 if seed is None else seed))
