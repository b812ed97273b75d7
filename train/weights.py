"""Weights on disk: safetensors, with what they belong to in their metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from ..errors import PumiceError
from .sealed import read_sealed, write_sealed


def save_weights(path: Path, model: nn.Module, info: Mapping[str, Any]) -> None:
    """Write the model's state to ``path``, atomically; ``info`` is JSON data kept beside it."""
    write_sealed(path, model.state_dict(), info)


def load_weights(path: Path, model: nn.Module) -> dict[str, Any]:
    """Load ``path`` into ``model`` and return the info kept beside it.

    Raises:
        PumiceError: the file is missing, damaged, or belongs to a model of other widths.
    """
    weights = read_weights(path)
    weights.load_into(model)
    return weights.info


@dataclass(frozen=True, eq=False)
class Weights:
    """What a file of weights holds.

    Attributes:
        path: of the file.
        tensors: by name.
        info: kept beside them; among it the settings of the model and of its task.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    info: dict[str, Any]

    def check_shapes(self, expected: Iterable[tuple[str, tuple[int, ...]]]) -> None:
        """Refuse tensors other than ``expected``, names and shapes; the first that differs ends it.

        Raises:
            PumiceError: naming the tensor.
        """
        names = set()
        for name, shape in expected:
            if name not in self.tensors:
                raise PumiceError(
                    f"{self.path} has no tensor {name}; it belongs to another model, choose that model's settings"
                )
            if tuple(self.tensors[name].shape) != tuple(shape):
                raise PumiceError(
                    f"{self.path} holds {name} of shape {tuple(self.tensors[name].shape)}, but the model needs "
                    f"{tuple(shape)}; choose the settings it was trained with"
                )
            names.add(name)
        if unknown := sorted(set(self.tensors) - names):
            raise PumiceError(
                f"{self.path} holds {unknown[0]}, which the model lacks; choose the settings it was trained with"
            )

    def load_into(self, model: nn.Module) -> None:
        """Load them into ``model``.

        Raises:
            PumiceError: they belong to a model of other widths.
        """
        expected = model.state_dict()
        self.check_shapes((name, tensor.shape) for name, tensor in expected.items())
        for name, tensor in expected.items():
            if self.tensors[name].dtype != tensor.dtype:
                raise PumiceError(
                    f"{self.path} holds {name} as {self.tensors[name].dtype}, but the model needs {tensor.dtype}; "
                    "train anew with redo=[train]"
                )
        model.load_state_dict(self.tensors)


def read_weights(path: Path) -> Weights:
    """The file of weights at ``path``.

    Raises:
        PumiceError: it is missing or damaged.
    """
    if not path.is_file():
        raise PumiceError(f"{path} does not exist; train first (pumice train)")
    try:
        return Weights(path, *read_sealed(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise PumiceError(f"{path} cannot be read as weights ({error}); train anew with redo=[train]") from error
