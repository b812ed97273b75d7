"""Weights on disk: safetensors, with what they belong to in their metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from ..errors import PumiceError
from .sealed import read_sealed, write_sealed


def save_weights(path: Path, model: nn.Module, info: Mapping[str, Any]) -> None:
    """Write the model's state to ``path``, atomically; ``info`` is JSON data kept beside it."""
    write_sealed(path, model.state_dict(), info)


def weights_info(path: Path) -> dict[str, Any]:
    """What is kept beside the weights at ``path``: among it the settings of the model and of its task.

    Raises:
        PumiceError: the file is missing or damaged.
    """
    return _read(path)[1]


def load_weights(path: Path, model: nn.Module) -> dict[str, Any]:
    """Load ``path`` into ``model`` and return the info kept beside it.

    Raises:
        PumiceError: the file is missing, damaged, or belongs to a model of other widths.
    """
    stored, info = _read(path)
    expected = model.state_dict()
    for name, tensor in expected.items():
        if name not in stored:
            raise PumiceError(f"{path} has no tensor {name}; it belongs to another model, choose that model's settings")
        if stored[name].shape != tensor.shape:
            raise PumiceError(
                f"{path} holds {name} of shape {tuple(stored[name].shape)}, but the model needs {tuple(tensor.shape)}; "
                "choose the settings it was trained with"
            )
        if stored[name].dtype != tensor.dtype:
            raise PumiceError(
                f"{path} holds {name} as {stored[name].dtype}, but the model needs {tensor.dtype}; train anew with "
                "redo=[train]"
            )
    if unknown := sorted(set(stored) - set(expected)):
        raise PumiceError(f"{path} holds {unknown[0]}, which the model lacks; choose the settings it was trained with")
    model.load_state_dict(stored)
    return info


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise PumiceError(f"{path} does not exist; train first (pumice train)")
    try:
        return read_sealed(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise PumiceError(f"{path} cannot be read as weights ({error}); train anew with redo=[train]") from error
