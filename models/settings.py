"""Settings of a model from plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ..errors import PumiceError

WHICH = ("family", "name", "recipe")
"""Keys of a file of configs/model that say which model it is, and which file of configs/training fits it."""


def check_input(config: Any) -> None:
    """Exactly one of ``vocab`` and ``in_features`` is given.

    Raises:
        PumiceError: none, or both.
    """
    if (config.vocab is None) == (config.in_features is None):
        raise PumiceError("a model takes either tokens or dense input; set exactly one of vocab and in_features")


def check_positive(config: Any, *names: str) -> None:
    """These settings are whole numbers of at least 1.

    Raises:
        PumiceError: names the one that is not.
    """
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise PumiceError(f"{name}={value} must be an integer of at least 1; change it")


def check_choices(config: Any, choices: Mapping[str, Sequence[str]]) -> None:
    """These settings are each one of their choices.

    Raises:
        PumiceError: names the one that is not.
    """
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            raise PumiceError(f"{name}={getattr(config, name)} is unknown; choose one of {', '.join(allowed)}")


def check_flags(config: Any, *names: str) -> None:
    """These settings are truth values.

    Raises:
        PumiceError: names the one that is not.
    """
    for name in names:
        if not isinstance(getattr(config, name), bool):
            raise PumiceError(f"{name}={getattr(config, name)} is not a truth value; set it to true or false")


def check_numbers(config: Any, *names: str) -> None:
    """These settings are numbers.

    Raises:
        PumiceError: names the one that is not.
    """
    for name in names:
        if isinstance(getattr(config, name), bool) or not isinstance(getattr(config, name), int | float):
            raise PumiceError(f"{name}={getattr(config, name)} is not a number; set it to one")


def check_steps(config: Any) -> None:
    """The initial steps ``dt_min`` to ``dt_max`` rise and lie above 0, and ``dropout`` in [0, 1); numbers all.

    Raises:
        PumiceError: one that does not.
    """
    if not 0 < config.dt_min <= config.dt_max:
        raise PumiceError(f"dt_min={config.dt_min} and dt_max={config.dt_max} must satisfy 0 < dt_min <= dt_max")
    if not 0 <= config.dropout < 1:
        raise PumiceError(f"dropout={config.dropout} lies outside [0, 1); choose a value inside")


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


def classifier_settings(kind: type[Any], settings: Mapping[str, Any], model: str) -> dict[str, Any]:
    """As `known_settings`, the number of classes among them.

    Raises:
        PumiceError: a key that ``model`` does not have, or no number of classes.
    """
    values = known_settings(kind, settings, model)
    if values.get("num_classes") is None:
        raise PumiceError(f"the {model} model needs num_classes; take it from the data set")
    return values
