"""Writing safetensors files that notice changed bytes (`pumice.sealed`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..files import atomic_path
from ..sealed import read_sealed, sealed_bytes

__all__ = ["read_sealed", "write_sealed"]


def write_sealed(path: Path, tensors: Mapping[str, Tensor], data: Mapping[str, Any]) -> None:
    """Write ``tensors`` and JSON ``data`` to ``path``, atomically.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    content = sealed_bytes(tensors, data)
    with atomic_path(path) as target:
        target.write_bytes(content)
