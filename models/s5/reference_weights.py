"""Weights in the naming of the reference implementation of event-SSM."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import PumiceError
from .classifier import S5Classifier


def load_reference_weights(
    model: S5Classifier,
    parameters: Mapping[str, NDArray[np.floating]],
    batch_stats: Mapping[str, NDArray[np.floating]] | None = None,
) -> None:
    """Fill ``model`` with weights named as the reference names them.

    Args:
        model: a model of the same settings.
        parameters: flat names such as ``encoder/stages_0/SequenceLayer_0/S5SSM_0/B``; dense kernels are (in, out).
        batch_stats: running mean and variance of batch norms, named likewise; needed by models that have them.

    Raises:
        PumiceError: a weight is missing, left over or of another shape.
    """
    state = reference_state_dict(model, parameters, batch_stats or {})
    with torch.no_grad():
        for name, target in model.state_dict().items():
            target.copy_(state[name])


def reference_state_dict(
    model: S5Classifier,
    parameters: Mapping[str, NDArray[np.floating]],
    batch_stats: Mapping[str, NDArray[np.floating]],
) -> dict[str, Tensor]:
    """The same weights under Pumice's names; arguments and errors as `load_reference_weights`."""
    names = reference_names(model)
    given = {**parameters, **batch_stats}
    for name in sorted(given.keys() - names.values()):
        raise PumiceError(f"this model has no place for the weights' '{name}'; choose the settings they were made with")
    state = {}
    for name, target in model.state_dict().items():
        reference = names[name]
        if reference not in given:
            raise PumiceError(f"the weights lack '{reference}'; choose the settings they were made with")
        value = torch.from_numpy(np.array(given[reference]))
        value = value.mT if reference.endswith("/kernel") else value
        if value.shape != target.shape:
            raise PumiceError(
                f"'{reference}' has shape {tuple(value.shape)}, the model needs {tuple(target.shape)}; "
                "choose the settings the weights were made with"
            )
        state[name] = value
    return state


def reference_names(model: S5Classifier) -> dict[str, str]:
    """The reference's name of every entry of the model's state dict."""
    norm = "BatchNorm_0" if model.config.norm == "batch" else "LayerNorm_0"
    modules = {"embedding": "encoder/encoder", "encoder": "encoder/encoder", "decoder": "decoder"}
    for i, stage in enumerate(model.stages):
        for j, _ in enumerate(stage.layers):
            ours, theirs = f"stages.{i}.layers.{j}", f"encoder/stages_{i}/SequenceLayer_{j}"
            for module, name in {"norm": norm, "ssm": "S5SSM_0", "gate": "Dense_0", "skip": "Dense_1"}.items():
                modules[f"{ours}.{module}"] = f"{theirs}/{name}"
    leaves = {"running_mean": "mean", "running_var": "var"}
    names = {}
    for key in model.state_dict():
        module, leaf = key.rsplit(".", 1)
        if leaf == "weight":
            leaf = "scale" if module.endswith(".norm") else "embedding" if module == "embedding" else "kernel"
        names[key] = f"{modules[module]}/{leaves.get(leaf, leaf)}"
    return names
