"""Checking the parameters of transforms."""

from __future__ import annotations

from ....errors import PumiceError


def require(holds: bool, name: str, value: object, limit: str) -> None:
    """Refuse a parameter of an augmentation that is out of its range.

    Raises:
        PumiceError: ``holds`` is false.
    """
    if not holds:
        raise PumiceError(f"task.augmentation.{name}={value} is out of range; it has to be {limit}")
