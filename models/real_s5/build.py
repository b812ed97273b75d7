"""A model from plain configuration data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator

from .classifier import RealS5Classifier
from .config import RealS5Config


def build_real_s5(settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **more: Any) -> RealS5Classifier:
    """Build a seeded `RealS5Classifier` from a configs/model/real-s5 file's values.

    Args:
        settings: the values of the model group.
        num_classes: classes of the task.
        seed: seed of the initial weights; None where they are to be loaded over.
        more: further settings that the task decides: ``vocab`` or ``in_features``.

    Raises:
        PumiceError: a setting that `RealS5Config` refuses.
    """
    config = RealS5Config.from_mapping(settings, num_classes=num_classes, **more)
    return RealS5Classifier(config, Generator().manual_seed(0 if seed is None else seed))
