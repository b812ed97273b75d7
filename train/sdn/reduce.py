"""From the best weights of a training to a reduced network's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ...errors import PumiceError
from ...models.sdn import SurrogateDynamicNetwork
from ...models.sdn.loading import sdn_data
from ...models.sdn.trainable import SDNConfig, TrainableSDN
from ..sealed import read_sealed, write_sealed
from .fit import FORMAT, KIND


def load_trained(path: str | Path) -> tuple[TrainableSDN, dict[str, Any]]:
    """The trained network at ``path``, ``best.safetensors`` of a training, and what is kept beside it.

    Raises:
        PumiceError: the file is missing, damaged, newer, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise PumiceError(f"{path} does not exist; train first (pumice sdn train)")
    try:
        tensors, data = read_sealed(path)
        if data.get("kind") != KIND:
            raise ValueError("it holds no trained surrogate network")
        if data["format"] > FORMAT:
            raise PumiceError(f"{path} has format {data['format']}, this Pumice reads up to {FORMAT}; update Pumice")
        network = TrainableSDN(SDNConfig(**data["settings"]["config"]))
        network.load_state_dict(tensors)
        return network, data
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise PumiceError(f"{path} cannot be read as a trained surrogate network ({error}); train anew") from error


def save_sdn(path: str | Path, network: SurrogateDynamicNetwork, info: dict[str, Any]) -> None:
    """Write a reduced network to ``path``, atomically; ``info`` is JSON data kept beside it. `load_sdn` reads it.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    write_sealed(Path(path), network.tensors(), sdn_data(network, info))
