"""A model from plain configuration data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator

from .classifier import S5Classifier
from .config import S5Config


def build_s5(settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **more: Any) -> S5Classifier:
    """Build a seeded `S5Classifier` from a configs/model/s5 file's values.

    Args:
        settings: the values of the model group.
        num_classes: classes of the task.
        seed: seed of the initial weights; None for zeros, to be loaded over.
        more: further settings that the task decides: ``vocab`` or ``in_features``.

    Raises:
        PumiceError: a setting that `S5Config` refuses.
    """
    config = S5Config.from_mapping(settings, num_classes=num_classes, **more)
    return S5Classifier(config, None if seed is None else Generator().manual_seed(seed), initial=seed is not None)
