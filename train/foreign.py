"""Weights that were not trained here, from files that anybody may have written (docs/robustness.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ..archives import MOST_RESULTS
from ..errors import PumiceError
from ..program.archive import read_arrays
from ..sealed import read_tensors
from .torch_archive import read_torch, reason_of

SUFFIXES = (".npz", ".safetensors", ".pt", ".pth", ".ckpt", ".bin")
STATE = "state_dict"
"""Where checkpoints of Lightning, and others, hold the weights."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a ``.npz``, of safetensors, or of a state dict that ``torch.save`` wrote, alone or in a dict.

    Raises:
        PumiceError: there is no such file, or it is damaged, larger than its kind may be, or holds anything but
            tensors of real numbers.
    """
    if not path.is_file():
        raise PumiceError(f"{path} does not exist or is no file; name a file of weights ({', '.join(SUFFIXES)})")
    if path.suffix not in SUFFIXES:
        raise PumiceError(f"{path} is of no known kind; weights lie in files that end with {', '.join(SUFFIXES)}")
    try:
        found = _READERS.get(path.suffix, _read_torch)(path)
        for name, value in found.items():
            if value.is_complex() or value.layout != torch.strided or value.is_quantized:
                raise ValueError(f"{name!r} is no dense tensor of real numbers")
        return found
    except UnpicklingError as error:
        raise PumiceError(f"{path} is damaged, or asks for code, which is never run; write it anew") from error
    except Exception as error:  # damaged archives, headers and pickles raise a dozen kinds of exception
        raise PumiceError(f"{path} cannot be read as weights ({reason_of(error)}); write it anew") from error


def _read_npz(path: Path) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in read_arrays(path, MOST_RESULTS).items()}


def _read_torch(path: Path) -> dict[str, Tensor]:
    found = read_torch(path, foreign=True)
    if isinstance(found, Mapping) and isinstance(found.get(STATE), Mapping):
        found = found[STATE]
    if not isinstance(found, Mapping) or not found:
        raise ValueError("it holds no state dict")
    return {_text(name): _tensor(name, value) for name, value in found.items()}


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"{name!r:.99} is no name of a tensor")
    return name


def _tensor(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise ValueError(f"{name!r:.99} is no tensor")
    return value.detach()


_READERS = {".npz": _read_npz, ".safetensors": read_tensors}
