"""Pickles of plain data and of arrays of numbers, read without running anything that they name.

A pickle names functions and calls them. Here the three names of numpy that an array needs stand for inert records, any
other name is refused, and arrays are made afterwards, from checked shapes and bytes.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 26
"""Of a file; CIFAR-10's hold 31 MB."""
NUMBERS = frozenset({"b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"})


class _Kind:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: Any, *flags: Any) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        self.order = "|"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else order

    def dtype(self) -> np.dtype[Any]:
        if self.code not in NUMBERS or self.order not in ("|", "<", ">"):
            raise ValueError(f"it has an array of type {self.code!r}, not of numbers")
        return np.dtype(f"{self.order}{self.code}")


class _Marker:
    """Stands for ``numpy.ndarray``, which is named and not called."""


class _Array:
    """Stands for what ``_reconstruct`` gives."""

    def __init__(self, kind: Any, shape: Any, code: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> NDArray[Any]:
        _, shape, kind, fortran, content = self.state
        if not isinstance(kind, _Kind) or not isinstance(content, bytes):
            raise ValueError("it has an array that is none of numbers")
        dtype = kind.dtype()
        if not all(type(size) is int and size >= 0 for size in shape) or prod(shape) * dtype.itemsize != len(content):
            raise ValueError(f"an array of shape {shape} does not fit its {len(content):,} bytes")
        return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Marker,
    ("numpy", "dtype"): _Kind,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise ValueError(f"it names {module}.{name}")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("it refers to something outside of it")


def read_inert_pickle(path: Path) -> Any:
    """What a pickle holds; texts of Python 2 are bytes.

    Raises:
        OSError, ValueError: it cannot be read, is damaged, too large, or holds more than plain data and numbers.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    content = path.read_bytes()
    _check_operations(content)
    try:
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        return _resolved(value)
    except ValueError:
        raise
    except Exception as error:  # a damaged pickle raises a dozen kinds of exception
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _check_operations(content: bytes) -> None:
    """Refuse lengths beyond the file and numbers of memory cells beyond its operations, before anything is built."""
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(str(argument)) > count:
            raise ValueError("its memory cells are not numbered in order")


def _resolved(value: Any) -> Any:
    """The same with arrays in place of their records, in dictionaries."""
    if isinstance(value, dict):
        return {key: _resolved(entry) for key, entry in value.items()}
    return value.array() if isinstance(value, _Array) else value
