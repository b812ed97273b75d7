"""Settings of a model from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..errors import PumiceError

WHICH = ("family", "name", "recipe")
"""Keys of a file of configs/model that say which model it is, and which file of configs/training fits it."""


def known_settings(kind: type[Any], settings: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The values for the dataclass ``kind``, without the keys of ``WHICH``.

    Raises:
        PumiceError: a key that ``model`` does not have.
    """
    values = {key: value for key, value in settings.items() if key not in WHICH}
    known = {field.name for field in fields(kind)}
    for key in values:
        if key not in known:
            raise PumiceError(f"the {model} model has no setting '{key}'; the settings are {', '.join(sorted(known))}")
    return values
