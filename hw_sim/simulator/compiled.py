"""Compilation with a cache that notices every change, of operations alone that a program uses.

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

_jit: Any = njit  # numba's types do not know all of its options
_FOLDER = Path(__file__).parent
_SOURCES = (
    "compiled.py",
    "arenas.py",
    "opcodes.py",
    "vectors/__init__.py",
    "vectors/plain.py",
    "vectors/native.py",
    "vectors/registers.py",
    "kernels/__init__.py",
    "kernels/bytes.py",
    "kernels/lookups.py",
    "kernels/neurons.py",
    "kernels/plain.py",
    "kernels/products.py",
    "kernels/rows.py",
    "kernels/thin.py",
    "kernels/tiles.py",
    "operations/calls.py",
    "operations/stateless.py",
    "operations/linear.py",
    "operations/ssm.py",
    "operations/windows.py",
    "operations/neurons.py",
    "operations/loihi.py",
    "operations/table.py",
    "machine.py",
)


def _digest() -> str:
    sha = hashlib.sha256()
    for name in _SOURCES:
        sha.update((_FOLDER / name).read_bytes())
    return sha.hexdigest()[:16]


DIGEST = _digest()
"""Of all sources of the compiled machine."""


def compiled(function: Callable[..., Any], **options: bool) -> Callable[..., Any]:
    """``numba.njit``, cached under this source's digest; releases the GIL; division by zero does not raise."""
    function.__qualname__ = f"{function.__qualname__}_{DIGEST}"
    return _jit(cache=True, nogil=True, error_model="numpy", **options)(function)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """``numba.njit`` of what compiled functions alone call: it becomes part of them, in the cache as well."""
    return _jit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
