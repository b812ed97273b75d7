"""The model families that can be quantized; stages and files know them by this table alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..errors import PumiceError
from .adlif.family import AdLIFFamily
from .config import ARITHMETICS
from .family import Family
from .loihi.family import LoihiFamily
from .s5.family import S5Family

FAMILIES: dict[str, Family[Any, Any, Any]] = {
    family.name: family for family in (S5Family(), AdLIFFamily(), LoihiFamily())
}


def family_named(name: str) -> Family[Any, Any, Any]:
    """The family of this name.

    Raises:
        PumiceError: there is none.
    """
    if name not in FAMILIES:
        raise PumiceError(f"model family '{name}' cannot be quantized; use one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def family_of(model: nn.Module, arithmetic: str = ARITHMETICS[0]) -> Family[Any, Any, Any]:
    """The family that a float model belongs to, as ``arithmetic`` quantizes it.

    Raises:
        PumiceError: to none.
    """
    families = [family for family in FAMILIES.values() if family.arithmetic == arithmetic]
    found = [family for family in families if isinstance(model, family.model)]
    if not found:
        kind, known = type(model).__name__, ", ".join(family.model.__name__ for family in families)
        raise PumiceError(f"quantize.arithmetic={arithmetic} does not take models of type {kind}; it takes {known}")
    return found[0]


def why_unavailable(config: Mapping[str, Any]) -> str | None:
    """Why the configured model or task cannot be quantized as configured; None if it can."""
    family, arithmetic = config["model"].get("family"), config["quantize"].get("arithmetic", ARITHMETICS[0])
    if arithmetic == LoihiFamily.arithmetic:
        return FAMILIES[LoihiFamily.name].unavailable(config)
    if family not in FAMILIES:
        return f"model.family={family} cannot be quantized; use one of {', '.join(FAMILIES)}"
    return FAMILIES[family].unavailable(config)
