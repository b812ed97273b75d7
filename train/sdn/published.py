"""Published surrogate networks: checkpoints of the training code and fused TorchScript archives, running no code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import PumiceError
from ...models.sdn import SurrogateDynamicNetwork, published_tensors
from ...models.sdn.fusion import fuse
from ...models.sdn.trainable import SDNConfig, TrainableSDN
from ..data.advice import CORRECT_OR_FETCH
from ..torch_archive import Inert, read_torch, reason_of
from .script_archive import is_script, read_script

MOST_BYTES = 1 << 26
FUSED = {"conv1": "spatial_layers.0", "conv2": "feature_layers.0", "conv3": "decoder"}
"""The other name of each fused convolution."""


def import_published(path: str | Path, tau: float, sweeps: int = 0) -> tuple[SurrogateDynamicNetwork, str]:
    """The reduced network of a published file, and in words what the file was.

    Taken are the fused network as a TorchScript archive, fused weights as a mapping of tensors, and a checkpoint of
    the training code, of one layer, which is fused here.

    Args:
        path: of the file.
        tau: of the neuron it was trained on: files do not say. The network that SpikingSSM comes with has 0.125.
        sweeps: of the reduced network.

    Raises:
        PumiceError: the file is missing, damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise PumiceError(f"{path} does not exist; name a published checkpoint or TorchScript archive")
    try:
        script = is_script(path)
        found = read_script(path) if script else _mapping(read_torch(path, foreign=True, most_bytes=MOST_BYTES))
        if not found:
            raise ValueError("it holds no weights with a decoder or conv3")
    except Exception as error:  # a damaged zip file or pickle raises a dozen kinds of exception
        raise PumiceError(
            f"{path} cannot be read as a published surrogate network ({reason_of(error)}); {CORRECT_OR_FETCH}"
        ) from error
    what = "TorchScript archive" if script else "mapping of tensors"
    if any(name.endswith("running_mean") for name in found):
        return fuse(_trained(found, path), tau, sweeps)[0], f"checkpoint of the training code ({what})"
    return SurrogateDynamicNetwork(tau, published_tensors(_fused(found)), sweeps), f"fused network ({what})"


def _mapping(found: Any) -> dict[str, Tensor]:
    """The first mapping of names to tensors with a decoder, or a fused convolution, in nested mappings and objects."""
    waiting, seen = [found], set()
    while waiting:
        value = waiting.pop(0)
        entries = vars(value) if isinstance(value, Inert) else value
        if not isinstance(entries, dict) or id(value) in seen:  # a file may hold one mapping many times over
            continue
        seen.add(id(value))
        tensors = {str(name): entry for name, entry in entries.items() if isinstance(entry, Tensor)}
        for name in tensors:
            for leaf in ("decoder.weight", "conv3.weight"):
                if name.endswith(leaf):
                    prefix = name.removesuffix(leaf)
                    return {key.removeprefix(prefix): entry for key, entry in tensors.items() if key.startswith(prefix)}
        waiting += entries.values()
    return {}


def _fused(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fused weights as conv1, conv2 and conv3; a dead encoder may lie beside them."""
    renamed = {name: value for name, value in found.items() if name != "encoder.weight"}
    for ours, theirs in FUSED.items():
        for leaf in ("weight", "bias"):
            if f"{theirs}.{leaf}" in renamed:
                renamed[f"{ours}.{leaf}"] = renamed.pop(f"{theirs}.{leaf}")
    return renamed


def _trained(found: Mapping[str, Tensor], path: Path) -> TrainableSDN:
    """The network of a checkpoint's weights. Modules inside its layers go by any name: shapes tell what they are."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in found.items():
        key = ".".join(name.split(".")[:2]) if name.startswith(("spatial_", "feature_")) else name
        groups.setdefault(key, {})[name] = value
    layers = sorted(key for key in groups if key.startswith(("spatial_", "feature_")))
    singles = {"encoder.weight", "decoder.weight", "decoder.bias"}
    if layers != ["feature_layers.0", "spatial_layers.0"] or groups.keys() - set(layers) != singles:
        raise PumiceError(
            f"{path} holds {', '.join(groups)}; a checkpoint of one layer has encoder, spatial_layers.0, "
            "feature_layers.0 and decoder. How several layers are padded it does not say: train them with pumice sdn"
        )
    encoder, decoder = found["encoder.weight"], found["decoder.weight"]
    width = encoder.numel()
    spatial, feature = (_layer(groups[key], key, path) for key in ("spatial_layers.0", "feature_layers.0"))
    kernel_size = spatial["weight"].shape[-1] if spatial["weight"].ndim == 3 else 0
    shapes = {
        "encoder.weight": (encoder, (width, 1, 1)),
        "the convolution of spatial_layers.0": (spatial["weight"], (width, 1, kernel_size)),
        "the convolution of feature_layers.0": (feature["weight"], (width, width, 1)),
        "decoder.weight": (decoder, (1, width, 1)),
        "decoder.bias": (found["decoder.bias"], (1,)),
        **{f"{name} of spatial_layers.0": (spatial[name], (width,)) for name in spatial if name != "weight"},
        **{f"{name} of feature_layers.0": (feature[name], (width,)) for name in feature if name != "weight"},
    }
    for name, (value, shape) in shapes.items():
        if tuple(value.shape) != shape or not value.is_floating_point() or not bool(value.isfinite().all()):
            raise PumiceError(f"{path}: {name} has to hold finite numbers of shape {shape}; it has {list(value.shape)}")
    network = TrainableSDN(SDNConfig(n_layers=1, d_model=width, kernel_size=kernel_size))
    state = network.state_dict()
    values = {"encoder": encoder, "decoder.weight": decoder, "decoder.bias": found["decoder.bias"]}
    for ours, layer in (("spatial.0", spatial), ("feature.0", feature)):
        values[f"{ours}.weight"] = layer["weight"]
        for name in ("weight", "bias", "running_mean", "running_var"):
            values[f"{ours}.norm.{name}"] = layer[f"norm.{name}"]
        # A bias before a batch norm moves the mean that is subtracted.
        values[f"{ours}.norm.running_mean"] = layer["norm.running_mean"] - layer.get("bias", torch.zeros(width))
    network.load_state_dict(state | {name: value.reshape(state[name].shape) for name, value in values.items()})
    return network


def _layer(group: Mapping[str, Tensor], key: str, path: Path) -> dict[str, Tensor]:
    """weight and perhaps bias of a layer's convolution, and norm.* of its batch norm."""
    norms = [name.removesuffix("running_mean") for name in group if name.endswith("running_mean")]
    weights = [name for name, value in group.items() if name.endswith("weight") and value.ndim == 3]
    kernels = [name.removesuffix("weight") for name in weights]
    if len(norms) != 1 or len(kernels) != 1:
        raise PumiceError(f"{path}: {key} has {len(kernels)} convolutions and {len(norms)} batch norms, one is needed")
    wanted = {f"{norms[0]}{name}": f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")}
    wanted |= {f"{kernels[0]}weight": "weight"}
    optional = {f"{kernels[0]}bias": "bias"}
    known = wanted.keys() | optional.keys() | {f"{norms[0]}num_batches_tracked"}
    for name in sorted((group.keys() - known) | (wanted.keys() - group.keys())):
        raise PumiceError(f"{path}: {name} of {key} is {'not known' if name in group else 'missing'}")
    return {ours: group[name] for name, ours in (wanted | optional).items() if name in group}
