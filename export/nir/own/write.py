"""Writer of NIR files with nodes of Pumice's own namespace."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import nn

from ....errors import PumiceError
from ....files import atomic_path
from ....models.adlif.network import AdLIFNetwork
from ....program import Program
from ....version import __version__
from ..layers import readout_layer, why_not
from ..write import DT, FORMAT_VERSION, RULES, check_dt, program_metadata
from .families import OwnFamily, family_of
from .layout import EQUATIONS, MEETING, NAMESPACE, Layout, OwnNode

NIR_VERSION = "1.0.8"
"""Of the layout of the file, as the package nir writes it."""
_TEXT = h5py.string_dtype()
_SURROGATE = "inference=sdn evaluates neurons by a surrogate network in a file of its own; set inference=exact"


def needs_own(model: nn.Module) -> bool:
    """Whether a model has what no NIR node has, other resets than to zero at once and a refractory time
    included.
    """
    if why_not(model) is not None:
        return True
    if not isinstance(model, AdLIFNetwork):
        return False
    return model.config.refractory > 0 or any(reset != "zero" for reset in model.config.resets)


def write_own(model: nn.Module, path: str | Path, program: Program | None = None, dt: float = DT) -> int:
    """Write a float model as a NIR file, whole or not at all; return how many nodes it has.

    Products are NIR's Affine and Linear nodes and leaky integrators at the end its LI, all else is of Pumice's
    namespace: ``pumice.DiagonalSSM`` and so on. Each states its equation, its parameters as float32 and, in a group
    ``settings``, what the equation speaks of. Metadata are as of `write_nir`, with the model's settings and family.

    Args:
        model: of any family.
        path: of the file.
        program: what the model was lowered to.
        dt: seconds of a step in the file, of LI nodes alone.

    Raises:
        PumiceError: a model that no file holds, a bad ``dt``, or a folder that cannot be written to.
    """
    check_dt(dt)
    family = family_of(model)
    config: Any = model.config
    if getattr(config, "inference", "exact") != "exact":
        raise PumiceError(_SURROGATE)
    state = {name: values.detach().cpu().float().numpy() for name, values in model.state_dict().items()}
    layout = family.layout(config, sorted(state))
    fields = {node.name: _fields(node, state) for node in layout.nodes.values()}
    fields["input"]["shape"] = np.array([1 if getattr(config, "vocab", None) else config.in_features])
    fields["output"]["shape"] = np.array([config.num_classes])
    parameters = _fold(model, fields, dt) if layout.folded else {}
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.create_dataset("version", data=NIR_VERSION, dtype=_TEXT)
        told = _metadata(family, config, parameters, program, dt)
        _put(file.create_group("node"), _graph(layout, fields, told))
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getvalue())
    return len(layout.nodes)


def _fields(node: OwnNode, state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    told: dict[str, Any] = {"type": node.type, **{field: state[name] for field, name in node.tensors.items()}}
    if node.kind in EQUATIONS:
        told["equation"] = EQUATIONS[node.kind]
        told["settings"] = {name: value for name, value in node.settings.items() if value is not None}
    return told


@torch.no_grad()
def _fold(model: nn.Module, fields: dict[str, dict[str, Any]], dt: float) -> dict[str, np.ndarray]:
    """Put the leaky integrators at the end into NIR's own nodes; give the parameters that these do not give back."""
    exact: Any = deepcopy(model).double()
    layer = readout_layer(exact.readout)
    tau = np.divide(dt, 1 - layer.alpha, where=layer.alpha < 1, out=np.full(len(layer.alpha), np.inf))
    fields["readout_input"] |= {"weight": layer.weight, "bias": layer.bias}
    if np.isinf(tau).all():
        fields["readout"] |= {"type": "I", "r": np.full_like(tau, 1 / dt)}
    else:
        fields["readout"] |= {"tau": tau, "r": tau / dt, "v_leak": np.zeros_like(tau)}
    return dict(layer.own)


def _metadata(
    family: OwnFamily, config: Any, parameters: Mapping[str, np.ndarray], program: Program | None, dt: float
) -> dict[str, Any]:
    settings = {**asdict(config), **({"sdn": None} if hasattr(config, "sdn") else {})}
    told: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "namespace": NAMESPACE,
        "writer": f"pumice {__version__}",
        "dt": float(dt),
        "edges": MEETING,
        "units": RULES["units"],
        "model": json.dumps({"family": family.name, **settings}),
    }
    if parameters:
        told["parameters"] = dict(parameters)
    if program is not None:
        told |= {"codes": RULES["codes"], "program": program_metadata(program)}
    return told


def _graph(layout: Layout, fields: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "NIRGraph",
        "nodes": dict(fields),
        "edges": np.array(layout.edges, dtype=object),
        "metadata": {NAMESPACE: dict(told)},
    }


def _put(group: h5py.Group, held: Mapping[str, Any]) -> None:
    """Texts, arrays and numbers, and groups of them, as the package nir lays them out."""
    for name, value in held.items():
        if isinstance(value, Mapping):
            _put(group.create_group(name), value)
        elif isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object):
            group.create_dataset(name, data=value, dtype=_TEXT)
        elif isinstance(value, np.ndarray) and value.ndim:
            group.create_dataset(name, data=value, compression="gzip")
        else:
            group.create_dataset(name, data=value)
