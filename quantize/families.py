"""The model families that can be quantized; stages and files know them by this table alone."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import PumiceError
from .adlif.family import AdLIFFamily
from .family import Family
from .twin.family import S5Family

FAMILIES: dict[str, Family[Any, Any, Any]] = {family.name: family for family in (S5Family(), AdLIFFamily())}


def family_named(name: str) -> Family[Any, Any, Any]:
    """The family of this name.

    Raises:
        PumiceError: there is none.
    """
    if name not in FAMILIES:
        raise PumiceError(f"model family '{name}' cannot be quantized; use one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def family_of(model: nn.Module) -> Family[Any, Any, Any]:
    """The family that a float model belongs to.

    Raises:
        PumiceError: to none.
    """
    found = [family for family in FAMILIES.values() if isinstance(model, family.model)]
    if not found:
        raise PumiceError(f"models of type {type(model).__name__} cannot be quantized; use {', '.join(FAMILIES)}")
    return found[0]
