"""Weights in the naming of the reference implementation of adaptive LIF networks (Baronig et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ...errors import PumiceError
from ..fit import fitted_state
from .network import AdLIFNetwork
from .time_constant import TimeConstant

WRAPPERS = ("model.", "_orig_mod.")
"""What scripted and compiled modules put before the names of layers."""
BOUNDS = ("tau_min", "tau_max")


def reference_state_dict(network: AdLIFNetwork, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a reference checkpoint's ``state_dict`` under Pumice's names.

    Layers are ``l1``, ``l2``, ... and ``out_layer``, each with ``weight``, ``bias`` and ``tau_u_trainer``, those of
    neurons with ``recurrent`` besides, of adaptive ones with ``a``, ``b`` and ``tau_w_trainer``. The ranges of time
    constants, which are kept beside the weights, are compared with the network's.

    Raises:
        PumiceError: a weight is missing, left over or of another shape, or a range is another.
    """
    weights = {_bare(name): value for name, value in given.items()}
    trained, fixed = _time_constants(network)
    for owner, constant in {**trained, **fixed}.items():
        _compare_bounds(owner, constant, weights)
    for owner, constant in fixed.items():
        _compare_fixed(owner, constant, weights)
    for owner in trained:
        weight = weights.get(f"{owner}.weight")
        if weight is not None and not bool(((weight >= 0) & (weight <= 1)).all()):
            raise PumiceError(
                f"'{owner}.weight' lies outside [0, 1]: it holds time constants that were not trained, which these "
                "layers do not have; train them with the method 'interpolation'"
            )
    read = {f"{owner}.{what}" for owner in (*trained, *fixed) for what in BOUNDS} | {
        f"{owner}.weight" for owner in fixed
    }
    weights = {name: value for name, value in weights.items() if name not in read}
    return fitted_state(network, weights, reference_names(network))


def reference_names(network: AdLIFNetwork) -> dict[str, str]:
    """The reference's name of every entry of the network's state dict."""
    endings = {"input.weight": "weight", "input.bias": "bias", "linear.weight": "weight", "linear.bias": "bias"}
    endings |= {"tau_u.p": "tau_u_trainer.weight", "tau_w.p": "tau_w_trainer.weight", "tau.p": "tau_u_trainer.weight"}
    names = {}
    for own in network.state_dict():
        parts = own.split(".")
        layer, rest = (f"l{int(parts[1]) + 1}", parts[2:]) if parts[0] == "cells" else ("out_layer", parts[1:])
        ending = ".".join(rest)
        lstm = ending.removeprefix("lstm.").removesuffix("_l0")
        names[own] = f"{layer}.{endings.get(ending, lstm)}"
    return names


def _bare(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _time_constants(network: AdLIFNetwork) -> tuple[dict[str, TimeConstant], dict[str, TimeConstant]]:
    """The network's time constants by the reference's name of their owner: trained, and fixed."""
    found = {"out_layer.tau_u_trainer": network.readout.tau}
    for index, cell in enumerate(network.cells, 1):
        for what in ("tau_u", "tau_w"):
            constant = getattr(cell, what, None)
            if constant is not None:
                found[f"l{index}.{what}_trainer"] = constant
    trained = {owner: constant for owner, constant in found.items() if constant.p is not None}
    return trained, {owner: constant for owner, constant in found.items() if owner not in trained}


def _compare_bounds(owner: str, constant: TimeConstant, weights: Mapping[str, Tensor]) -> None:
    known = [weights[f"{owner}.{what}"] for what in BOUNDS if f"{owner}.{what}" in weights]
    there = [float(value) for value in known if value.numel() == 1]
    if len(there) == len(BOUNDS) and there != [constant.least, constant.most]:
        setting = "tau_out" if owner.startswith("out_layer") else owner.rpartition(".")[2].removesuffix("_trainer")
        raise PumiceError(
            f"'{owner}' has time constants from {there[0]:g} to {there[1]:g} steps, the model's reach from "
            f"{constant.least:g} to {constant.most:g}; set model.{setting}=[{there[0]:g},{there[1]:g}]"
        )


def _compare_fixed(owner: str, constant: TimeConstant, weights: Mapping[str, Tensor]) -> None:
    """The reference keeps a constant of a single value itself or, where it is trained all the same, a share."""
    weight = weights.get(f"{owner}.weight")
    if weight is None:
        return
    right = bool((weight == constant.least).all()) or bool(((weight >= 0) & (weight <= 1)).all())
    if tuple(weight.shape) != (constant.count,) or not right:
        raise PumiceError(
            f"'{owner}.weight' of shape {tuple(weight.shape)} is not {constant.count} time constants of "
            f"{constant.least:g} steps, as in the model; choose the settings that it was made with"
        )
