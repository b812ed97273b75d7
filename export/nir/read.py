"""The float network of a NIR file that Pumice wrote, its weights bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import PumiceError
from ...models.adlif.config import AdLIFConfig
from ...models.adlif.network import AdLIFNetwork
from ...models.adlif.shapes import adlif_shapes
from .chain import Layer, read_chain
from .layers import unfolded
from .tree import Graph, read_graph
from .write import FORMAT_VERSION


def read_model(path: str | Path) -> AdLIFNetwork:
    """The network that `write_nir` wrote, in evaluation mode.

    Raises:
        PumiceError: not such a file, a damaged or newer one, or one whose settings and weights do not belong together.
    """
    graph = read_graph(path)
    told = graph.metadata.get("pumice")
    if not isinstance(told, dict):
        raise PumiceError(f"{path} was not written by Pumice, and does not say what model it holds; import it instead")
    config, dt = _settings(path, told)
    state = _state(read_chain(graph), dt, config.rise)
    own = told.get("parameters", {})
    state |= {name: values for name, values in own.items() if isinstance(values, np.ndarray) and name.endswith(".p")}
    _check(graph, config, state)
    model = AdLIFNetwork(config, None)
    model.load_state_dict({name: torch.from_numpy(values.astype(np.float32)) for name, values in state.items()})
    return model.eval()


def _settings(path: str | Path, told: dict[str, Any]) -> tuple[AdLIFConfig, float]:
    version = told.get("format_version")
    if not isinstance(version, np.ndarray) or version.size != 1 or version.dtype.kind not in "iu":
        raise PumiceError(f"{path} does not say the version of Pumice's metadata; write it anew")
    if int(version) > FORMAT_VERSION:
        raise PumiceError(
            f"{path} has metadata of version {int(version)}, this Pumice reads {FORMAT_VERSION}; update Pumice"
        )
    try:
        settings, dt = json.loads(told["model"]), float(told["dt"])
        config = AdLIFConfig.from_mapping({k: v for k, v in settings.items() if k != "family"})
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise PumiceError(f"{path} has damaged metadata ({error}); write it anew") from error
    return config, dt


def _state(layers: list[Layer], dt: float, rise: str) -> dict[str, np.ndarray]:
    """Weights by the names of a state dict, ``1 - alpha`` taken out again where it was folded in, float32."""
    state: dict[str, np.ndarray] = {}
    for index, layer in enumerate(layers):
        alpha = 1 - dt / layer.tau
        stem = "readout.linear" if layer.threshold is None else f"cells.{index}.input"
        state[f"{stem}.weight"] = unfolded(layer.weight, alpha, rise)
        state[f"{stem}.bias"] = unfolded(layer.bias, alpha, rise)
        if layer.recurrent is not None:
            state[f"cells.{index}.recurrent"] = unfolded(layer.recurrent, alpha, rise)
    return state


def _check(graph: Graph, config: AdLIFConfig, state: dict[str, np.ndarray]) -> None:
    names = set()
    for name, shape in adlif_shapes(config):
        if name not in state or state[name].shape != shape:
            found = f"has shape {state[name].shape}" if name in state else "is missing"
            raise PumiceError(f"{graph.path}: {name} {found}, its settings say {shape}; write it anew")
        names.add(name)
    if len(names) != len(state):
        raise PumiceError(f"{graph.path} holds {min(set(state) - names)}, which its settings do not; write it anew")
