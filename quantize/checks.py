"""Checks of settings of quantization: one sentence that names the setting and its limits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..errors import PumiceError


def require_keys(settings: Any, known: Collection[str], where: str) -> None:
    """Refuse what is no mapping, and keys that are not known.

    Raises:
        PumiceError: names the key, and those that there are.
    """
    prefix = f"quantize.{where}" if where else "quantize"
    if not hasattr(settings, "keys"):
        raise PumiceError(f"{prefix}={settings} is no mapping; its keys are {', '.join(sorted(known))}")
    for key in settings:
        if key not in known:
            raise PumiceError(f"{prefix} has no setting '{key}'; the settings are {', '.join(sorted(known))}")


def require_number(name: str, value: Any, low: float, high: float, whole: bool = False) -> None:
    """Refuse what is no number from ``low`` to ``high``, or no whole one.

    Raises:
        PumiceError: names the setting and the limits.
    """
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise PumiceError(f"quantize.{name}={value} has to be {what} from {low:g} to {high:g}")


def require_choice(name: str, value: Any, known: Collection[Any]) -> None:
    """Refuse what is none of ``known``.

    Raises:
        PumiceError: names the setting, and what there is.
    """
    if value not in known:
        shown = ", ".join("null" if one is None else str(one).lower() for one in known)
        raise PumiceError(f"quantize.{name}={value} is unknown; use one of {shown}")
