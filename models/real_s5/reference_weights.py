"""Weights in the naming of the PyTorch port of event-SSM with real decays."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ...errors import PumiceError
from ..fit import fitted_state
from .classifier import RealS5Classifier

UNUSED = ("proj", "norm_in", "norm_out")
"""Modules of a layer that the port has whether its settings use them or not."""


def reference_state_dict(model: RealS5Classifier, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The port's ``state_dict`` under Pumice's names.

    Its embedding has a row for the padding before those of the tokens, which is left out. Of each layer's norms, and
    of the head's attention, only what the model has is taken.

    Raises:
        PumiceError: a weight is missing, left over or of another shape.
    """
    names = reference_names(model)
    wanted = set(names.values())
    weights = {name: value for name, value in given.items() if name in wanted or not _is_unused(name)}
    embedding = "encoder.encoder.weight"
    if model.config.token_input and embedding in weights:
        if weights[embedding].dim() != 2 or len(weights[embedding]) != model.embedding.num_embeddings + 1:
            raise PumiceError(
                f"the weights have '{embedding}' of shape {tuple(weights[embedding].shape)}, the model one row of "
                f"padding and {model.embedding.num_embeddings} tokens; choose the sensor that they were made with"
            )
        weights[embedding] = weights[embedding][1:]
    return fitted_state(model, weights, names)


def reference_names(model: RealS5Classifier) -> dict[str, str]:
    """The port's name of every entry of the model's state dict."""
    norm = "norm_in" if model.config.norm_place == "inside" else "norm_out"
    parts = {"ssm": "ssm_block", "input_gate": "ssm_block.input_gate_net", "norm": norm, "skip": "skip_proj"}
    names = {}
    for own in model.state_dict():
        module, *rest = own.split(".")
        if module == "layers":
            stage, index = divmod(int(rest[0]), model.config.layers_per_stage)
            part, leaf = rest[1], rest[2:]
            names[own] = ".".join([f"encoder.stages.{stage}.layers.{index}", parts.get(part, part), *leaf])
        else:
            outer = {"embedding": "encoder.encoder", "encoder": "encoder.encoder", "attention": "attn_pool"}
            names[own] = ".".join([outer.get(module, module), *rest])
    return names


def _is_unused(name: str) -> bool:
    parts = name.split(".")
    in_layer = len(parts) > 5 and parts[:2] == ["encoder", "stages"] and parts[5] in UNUSED
    return in_layer or parts[0] == "attn_pool" or parts[-1] == "num_batches_tracked"
