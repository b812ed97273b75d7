"""``pumice evaluate checkpoint=FILE``: an import and an evaluation in one."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import PumiceError
from .verbs import IMPORTS

KEYS = ("checkpoint", "format")
DEFAULT = "weights"


def without_checkpoint(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of the import that ``checkpoint=FILE [format=NAME]`` asks for, or none, and the rest.

    Raises:
        PumiceError: a format without a checkpoint, an unknown one, or either of them twice.
    """
    found: dict[str, str] = {}
    rest = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not (equals and key in KEYS):
            rest.append(argument)
        elif key in found:
            raise PumiceError(f"{key} is given twice; give it once")
        else:
            found[key] = value
    if not found:
        return [], rest
    if not found.get("checkpoint"):
        raise PumiceError("format says whose names the weights of checkpoint=FILE have; name the file")
    name, known = found.get("format", DEFAULT), [name for name, *_ in IMPORTS]
    if name not in known:
        raise PumiceError(f"format={name} is unknown; use one of: {', '.join(known)}")
    return ["import", name, found["checkpoint"], *rest], rest
