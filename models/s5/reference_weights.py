"""Weights in the naming of the reference implementation of event-SSM."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fit import fitted_state, load_fitted
from .classifier import S5Classifier

PREFIXES = ("params/", "model_state/batch_stats/", "batch_stats/")
"""Of a flattened checkpoint: parameters and the statistics of batch norms."""
OF_TRAINING = ("opt_state/", "step")
"""What a flattened checkpoint holds besides."""


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
    given = {name: torch.from_numpy(np.array(value)) for name, value in {**parameters, **(batch_stats or {})}.items()}
    load_fitted(model, reference_state_dict(model, given))


def reference_state_dict(model: S5Classifier, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under Pumice's names.

    Args:
        model: a model of the same settings.
        given: parameters and statistics, named as above, or as a flattened checkpoint of flax names them
            (``params/...``, ``model_state/batch_stats/...``); the state of its optimizer is passed over.

    Raises:
        PumiceError: a weight is missing, left over or of another shape.
    """
    weights = {}
    for name, value in given.items():
        if not name.startswith(OF_TRAINING):
            prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
            weights[name.removeprefix(prefix)] = value
    return fitted_state(model, weights, reference_names(model), lambda name: name.endswith("/kernel"))


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
