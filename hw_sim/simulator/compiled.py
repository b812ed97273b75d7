"""Compilation with a cache that notices every change.

numba keys its cache by the file that holds a function, not by the files of what the function calls or the constants it
imports, so an edited kernel would leave stale integers in its callers. Here all sources that end up in the machine
share one digest, which becomes part of each function's name in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

_FOLDER = Path(__file__).parent
_SOURCES = (
    "compiled.py",
    "opcodes.py",
    "views.py",
    "kernels/neurons.py",
    "kernels/plain.py",
    "operations/stateless.py",
    "operations/ssm.py",
    "operations/windows.py",
    "operations/neurons.py",
    "operations/loihi.py",
    "machine.py",
)


def _digest() -> str:
    sha = hashlib.sha256()
    for name in _SOURCES:
        sha.update((_FOLDER / name).read_bytes())
    return sha.hexdigest()[:16]


DIGEST = _digest()
"""Of all sources of the compiled machine."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``numba.njit``, cached under this source's digest; releases the GIL; division by zero does not raise."""
    function.__qualname__ = f"{function.__qualname__}_{DIGEST}"
    return njit(cache=True, nogil=True, error_model="numpy")(function)
