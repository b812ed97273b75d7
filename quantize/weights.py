"""The frozen model on disk: safetensors, its nodes' other fields in the metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from ..errors import PumiceError
from ..program.errors import ProgramError
from ..program.storage import pack_node, unpack_node
from ..train.sealed import read_sealed, write_sealed
from .families import FAMILIES, family_named
from .frozen import FrozenModel

FORMAT = 2


def save_frozen(path: Path, frozen: FrozenModel, info: dict[str, Any]) -> None:
    """Write the frozen model to ``path``, atomically; ``info`` is JSON data kept beside it."""
    nodes = [pack_node(node, {}) for node in frozen.nodes()]
    family = next(family.name for family in FAMILIES.values() if isinstance(frozen, family.frozen))
    header = {"format": FORMAT, "family": family, "nodes": nodes, "settings": frozen.settings(), "info": info}
    write_sealed(path, frozen.state_dict(), header)


def load_frozen(path: Path) -> tuple[FrozenModel, dict[str, Any]]:
    """The frozen model at ``path``, of whatever family, and the info kept beside it.

    Raises:
        PumiceError: the file is missing, damaged, newer, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise PumiceError(f"{path} does not exist; quantize first (pumice quantize)")
    try:
        stored, header = read_sealed(path)
        if header["format"] < FORMAT:
            raise PumiceError(f"{path} was written by an older Pumice; write it anew with redo=[quantize]")
        if header["format"] > FORMAT:
            raise PumiceError(f"{path} has format {header['format']}, this Pumice reads up to {FORMAT}; update Pumice")
        tensors = _Arrays({name: tensor.numpy() for name, tensor in stored.items()})
        nodes = [unpack_node(packed, tensors) for packed in header["nodes"]]
        return family_named(header["family"]).frozen(nodes, **header["settings"]), header["info"]
    except (SafetensorError, ProgramError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PumiceError(f"{path} cannot be read as frozen weights ({error}); write it anew") from error


class _Arrays(dict[str, np.ndarray]):
    """Arrays by the storage's keys ``node:field:0``, held under the buffers' names ``node:field/0``."""

    def __getitem__(self, key: str) -> np.ndarray:
        node, _, field = key.partition(":")
        return super().__getitem__(f"{node}:{field.replace(':', '/')}")
