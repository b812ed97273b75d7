"""What every field of a node has to be, whoever made it: files declare anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from ..errors import ProgramError

MOST_CHANNELS = 1 << 18
"""Of all nodes of a program together, and entries of a vector; what runs a program keeps rows and sums of each."""

_NAME = re.compile(r"[\w.:+/ -]{1,200}")
_LONGEST = 1 << 62


def check_fields(node: Any) -> None:
    """Refuse a node that holds anything but what its fields are declared as.

    Integers fit 63 bits, arrays hold integers of a native type of up to 64 bits, signed beyond 32, and names are words.

    Raises:
        ProgramError: names the node and the field.
    """
    name = node.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ProgramError(f"a node needs a name of letters, digits, '_', '.', ':', '/', '+', '-', not {name!r:.60}")
    for what, hint in _hints(type(node)).items():  # type: ignore[arg-type]  # mypy takes a type for unhashable
        value = getattr(node, what)
        for array in value if isinstance(value, tuple) else (value,):
            if isinstance(array, np.ndarray):
                _check_array(name, what, array)
        if not _is(value, hint):
            wanted = "whole number" if int in (hint, *get_args(hint)) else getattr(hint, "__name__", str(hint))
            raise ProgramError(f"node {name}: {what}={value!r:.60} is no {wanted}")


def _check_array(name: str, what: str, array: np.ndarray) -> None:
    if array.dtype.kind not in "iu":
        raise ProgramError(f"node {name}: {what} must hold integers, not {array.dtype}")
    if array.dtype == np.uint64 or not array.dtype.isnative:
        raise ProgramError(f"node {name}: {what} must hold native integers of at most 63 bits, not {array.dtype}")
    if array.ndim == 1 and array.size > MOST_CHANNELS:
        raise ProgramError(f"node {name}: {what} has {array.size} entries, the limit is {MOST_CHANNELS}")
    array.setflags(write=False)


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    known = get_type_hints(kind)
    return {field.name: known[field.name] for field in fields(kind)}


def _is(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_is(value, one) for one in inner)
    if origin is tuple:
        kinds = inner[:1] * len(value) if isinstance(value, tuple) and inner[1:] == (...,) else inner
        return (
            isinstance(value, tuple)
            and len(value) == len(kinds)
            and all(_is(item, kind) for item, kind in zip(value, kinds, strict=True))
        )
    if hint is int:
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        return whole and -_LONGEST < value < _LONGEST
    return isinstance(value, hint)
