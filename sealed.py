"""Safetensors files that notice changed bytes: their content, and reading them back.

The file's metadata has one entry, ``pumice``: JSON with the data kept beside the tensors (``sealed``) and the SHA-256
over them and each tensor's name, dtype, shape and bytes (``sha256``). Files from before the seal hold the data alone.
`pumice.train.sealed` writes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

METADATA_KEY = "pumice"  # one entry: safetensors does not keep the order of several
MOST_BYTES, MOST_HEADER_BYTES = 1 << 29, 1 << 22


def sealed_bytes(tensors: Mapping[str, Tensor], data: Mapping[str, Any]) -> bytes:
    """The content of a file that holds ``tensors`` and JSON ``data``."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"sealed": data, "sha256": _digest(data, state)}
    return save(state, metadata={METADATA_KEY: json.dumps(header, sort_keys=True)})


def read_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the data of ``path``.

    Raises:
        SafetensorError, OSError, ValueError: missing, damaged, or not written by Pumice.
    """
    tensors, metadata = _read(path)
    if METADATA_KEY not in metadata:
        raise ValueError("Pumice did not write it")
    return tensors, _data(tensors, metadata)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of ``path``, whoever wrote it; where Pumice did, they match their digest.

    Raises:
        SafetensorError, OSError, ValueError: missing or damaged.
    """
    tensors, metadata = _read(path)
    if METADATA_KEY in metadata:
        _data(tensors, metadata)
    return tensors


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    _check_size(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        return tensors, file.metadata() or {}


def _data(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, Any]:
    """What is kept beside the tensors, which its digest has to match."""
    try:
        header = json.loads(metadata[METADATA_KEY])
    except RecursionError:
        raise ValueError("its metadata is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("its metadata is no JSON object")
    if not {"sealed", "sha256"} & set(header):
        return header
    data = header.get("sealed")
    if not isinstance(data, dict) or header.get("sha256") != _digest(data, tensors):
        raise ValueError("it does not match its digest")
    return data


def _check_size(path: Path) -> None:
    """Refuse what declares more than weights have, before anything is read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    for what, declared, most in (("file", size, MOST_BYTES), ("header", header, MOST_HEADER_BYTES)):
        if declared > most:
            raise ValueError(f"its {what} has {declared:,} bytes, the limit is {most:,}")


def _digest(data: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256(json.dumps(data, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        flat = tensor.reshape(-1)
        if flat.stride() != (1,):  # one entry may have any
            flat = flat.clone(memory_format=torch.contiguous_format)
        sha.update(flat.view(torch.uint8).numpy().data)
    return sha.hexdigest()
