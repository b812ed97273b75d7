"""Reduced surrogate dynamic networks from files: one's own, and those that come with Pumice."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ...errors import PumiceError
from ...sealed import read_sealed
from .network import SurrogateDynamicNetwork

FORMAT, KIND = 1, "sdn"
MOST_BYTES = 1 << 25
SHIPPED = {0.125: "tau0125.safetensors", 0.2: "tau02.safetensors"}
"""File of each tau in the folder ``weights``."""


def load_sdn(path: str | Path) -> SurrogateDynamicNetwork:
    """The reduced network at ``path``, a sealed safetensors file of ``pumice sdn reduce`` or ``pumice sdn import``.

    Raises:
        PumiceError: the file is missing, damaged, newer, or holds something else.
    """
    return read_sdn(path)[0]


def read_sdn(path: str | Path) -> tuple[SurrogateDynamicNetwork, dict[str, Any]]:
    """The reduced network at ``path`` and the data kept beside it: how it was trained, figures, versions.

    Raises:
        PumiceError: see `load_sdn`.
    """
    path = Path(path)
    if not path.is_file():
        raise PumiceError(f"{path} does not exist; reduce a trained network first (pumice sdn reduce)")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, the limit is {MOST_BYTES:,}")
        tensors, data = read_sealed(path)
        if data.get("kind") != KIND or not isinstance(data.get("format"), int) or not isinstance(data["info"], dict):
            raise ValueError("it holds no reduced surrogate dynamic network")
        if data["format"] > FORMAT:
            raise PumiceError(f"{path} has format {data['format']}, this Pumice reads up to {FORMAT}; update Pumice")
        return SurrogateDynamicNetwork(data["tau"], tensors, data.get("sweeps", 0)), data["info"]
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise PumiceError(f"{path} cannot be read as a surrogate network ({error}); reduce it anew") from error


def sdn_data(sdn: SurrogateDynamicNetwork, info: dict[str, Any]) -> dict[str, Any]:
    """The data that a file keeps beside the tensors of ``sdn``."""
    return {"kind": KIND, "format": FORMAT, "tau": sdn.tau, "sweeps": sdn.sweeps, "info": info}


def shipped_sdn(tau: float = 0.125) -> SurrogateDynamicNetwork:
    """The reduced network for ``tau`` that comes with Pumice (docs/sdn.md has its figures).

    Raises:
        PumiceError: there is none for this tau.
    """
    return load_sdn(shipped_path(tau))


def shipped_path(tau: float) -> Path:
    """Where the network for ``tau`` lies in the installed package.

    Raises:
        PumiceError: there is none for this tau.
    """
    if tau not in SHIPPED:
        raise PumiceError(
            f"no surrogate network for tau={tau} comes with Pumice, only for {' and '.join(map(str, SHIPPED))}; train "
            "one with pumice sdn"
        )
    with as_file(files(__package__) / "weights" / SHIPPED[tau]) as path:
        return path
