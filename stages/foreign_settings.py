"""Settings of models in the configuration files of other programs, as overrides of Pumice's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import PumiceError
from ..export.nir.imported import read_imported
from ..files import read_text

EVENT_SSM = {
    "ssm.d_model": "d_model",
    "ssm.d_ssm": "d_ssm",
    "ssm.ssm_block_size": "block_size",
    "ssm.num_stages": "stages",
    "ssm.num_layers_per_stage": "layers_per_stage",
    "ssm.pooling_stride": "stride",
    "ssm.pooling_mode": "pooling",
    "ssm.state_expansion_factor": "expansion",
    "ssm.classification_mode": "head",
    "ssm.discretization": "discretization",
    "ssm.dropout": "dropout",
    "ssm_init.C_init": "c_init",
    "ssm_init.conj_sym": "conj_sym",
    "ssm_init.clip_eigs": "clip_eigs",
    "ssm_init.dt_min": "dt_min",
    "ssm_init.dt_max": "dt_max",
}
"""Theirs, below ``model``, and Pumice's."""
EVENT_SSM_TORCH = {
    theirs: ours for theirs, ours in EVENT_SSM.items() if ours not in ("block_size", "c_init", "conj_sym", "clip_eigs")
}
"""The same of the PyTorch port, which passes over the others."""


def event_ssm(source: Path) -> list[str]:
    """Overrides of section ``model`` from a configuration of the JAX code of event-SSM.

    Raises:
        PumiceError: it cannot be read, lacks a setting, or names a model that there is not.
    """
    model = _section(source)
    found = {ours: _value(model, theirs, source) for theirs, ours in EVENT_SSM.items()}
    if _value(model, "ssm.prenorm", source) is not True:
        raise PumiceError(
            f"{source} sets model.ssm.prenorm to false: layers with the norm after the sum do not exist here"
        )
    found["norm"] = "batch" if _value(model, "ssm.batchnorm", source) else "layer"
    return [
        "model=s5/tiny",
        "model.name=event-ssm",
        *(f"model.{name}={literal(value)}" for name, value in found.items()),
    ]


NIR_BASES = {
    "adlif": "adlif/tiny",
    "real-s5": "real-s5/tiny",
    "s5": "s5/tiny",
    "spikings5": "spikings5/tiny",
    "spikingssm": "spikingssm/smnist",
}
"""By family, the settings that those of a file replace."""


def nir(source: Path, given: Mapping[str, str]) -> list[str]:
    """Overrides of section ``model`` for the network in a NIR file, read as ``given`` says (nir.dt and others).

    Raises:
        PumiceError: a file that cannot be read, or that holds what Pumice cannot hold; names the node.
    """
    try:
        step = float(given["nir.dt"]) if "nir.dt" in given else None
    except ValueError:
        raise PumiceError(f"nir.dt={given['nir.dt']} are no seconds; snnTorch writes 1e-4") from None
    try:
        refractory = int(given.get("nir.refractory", "0"))
    except ValueError:
        raise PumiceError(f"nir.refractory={given['nir.refractory']} is no number of steps; 0 is none") from None
    reset, writer = (None if (word := given.get(f"nir.{name}")) == "null" else word for name in ("reset", "writer"))
    settings = read_imported(source, reset, step, writer, refractory).settings
    sizes = ("num_classes", "in_features", "vocab")
    held = {name: value for name, value in settings.items() if name not in (*sizes, "family")}
    held = {"dropout": 0.0} | {name: list(value) if isinstance(value, tuple) else value for name, value in held.items()}
    base = NIR_BASES[settings.get("family", "adlif")]
    ours = [f"++model.{name}={literal(value)}" for name, value in held.items()]  # a base need not have all of them
    return [f"model={base}", "model.name=nir", *ours]


def event_ssm_torch(source: Path) -> list[str]:
    """Overrides of section ``model`` from a configuration of the PyTorch port of event-SSM, with real decays.

    Its discretization ``async`` computes ``zoh``, and with ``prenorm`` the norm follows the SSM.

    Raises:
        PumiceError: it cannot be read, lacks a setting, or names a model that there is not.
    """
    model = _section(source)
    found = {ours: _value(model, theirs, source) for theirs, ours in EVENT_SSM_TORCH.items()}
    found["discretization"] = "dirac" if found["discretization"] == "dirac" else "zoh"
    found["norm"] = "batch" if _value(model, "ssm.batchnorm", source) else "layer"
    found["norm_place"] = "inside" if _value(model, "ssm.prenorm", source) else "after"
    found["step_rescale"] = _value(model, "ssm.step_rescale", source, 1.0)
    if _value(model, "ssm.input_gate", source, False):
        for key, only in (("input_gate_mode", "sigmoid"), ("input_gate_min", 0)):
            if (value := _value(model, f"ssm.{key}", source, only)) != only:
                raise PumiceError(
                    f"{source} sets model.ssm.{key} to {value}, which layers here do not have; use {only}"
                )
        found["input_gate"] = _value(model, "ssm.input_gate_rank", source, 0)
    settings = [f"model.{name}={literal(value)}" for name, value in found.items()]
    return ["model=real-s5/tiny", "model.name=event-ssm-torch", *settings]


def literal(value: Any) -> str:
    """A value, or a list of some, in the grammar of overrides."""
    if isinstance(value, list):
        return f"[{','.join(map(literal, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _section(source: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(read_text(source))
        model = found["model"]
        if not isinstance(model, dict):
            raise ValueError("its section 'model' holds no settings")
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError, RecursionError) as error:
        reason = "it has no section 'model'" if isinstance(error, (KeyError, TypeError)) else str(error).splitlines()[0]
        raise PumiceError(
            f"{source} cannot be read as a configuration ({reason}); give settings by model....=..."
        ) from error
    return model


def _value(model: Mapping[str, Any], key: str, source: Path, default: Any = None) -> Any:
    """A single value below ``model``: a word or a number, so that it is no more than that as an override."""
    value: Any = model
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    value = default if value is None else value
    if value is None:
        raise PumiceError(f"{source} has no setting model.{key}; give settings by model....=... in its place")
    word = isinstance(value, str) and value.replace("_", "").isascii() and value.replace("_", "").isalnum()
    if not word and isinstance(value, str):  # YAML takes 1e-3 for a word
        with contextlib.suppress(ValueError):
            value = float(value)
    if not word and not isinstance(value, (bool, int, float)):
        raise PumiceError(f"{source} sets model.{key} to {value!r:.99}, which is no single value; change it")
    return value
