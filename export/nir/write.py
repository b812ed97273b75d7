"""Writer of NIR files: the float network as nodes, all else that a reader has to know as metadata."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from ...errors import PumiceError
from ...files import atomic_path
from ...program import Program, digest
from ...program.storage import pack_node
from ...version import __version__
from .layers import Folded, layers_of
from .package import require_nir

FORMAT_VERSION = 1
DT = 1e-4
"""Seconds of a step in the file, as readers take it where they are told nothing; not the length of a real step."""
RULES = {
    "update": (
        "v^ = v + dt / tau (r I - v), one step dt a row of input; r = tau / dt, so that I enters with gain 1; of "
        "CubaLIF i = i + dt / tau_syn (w_in I - i) first, and v^ takes this i; of IF and I v^ = v + dt r I, r = 1 / dt"
    ),
    "spike": "z = 1 where v^ > v_threshold, strictly",
    "recurrence": "w_rec multiplies the spikes of the step before; all states and spikes are 0 before the first step",
    "folding": "the weights that make I are Pumice's, times 1 - alpha where its rise is 'leak'; alpha = 1 - dt / tau",
    "units": "rows of input are the values that the float model reads, as they are",
    "codes": (
        "a code q of fractional bits f stands for q 2^-f; products are summed exactly, shifted with rounding half up, "
        "floor(x + 1/2), and saturated to their width"
    ),
}
"""What a file says of its arithmetic, beside the numbers."""

RESETS = {
    "zero": "to v_reset = 0, at once: v = 0 where z = 1, in the step of the spike",
    "subtract": "by subtraction, at once: v = v^ - v_threshold where z = 1, in the step of the spike",
    "late-zero": "to 0 in the step after the spike: v^ = 0 there, whatever arrives, and v = v^",
    "late-subtract": "by subtraction in the step after the spike: v^ is lower by v_threshold there, and v = v^",
}
"""Of each layer of neurons, in words; NIR's own equation, which readers take that ask for no other, is the first."""

REFRACTORY = (
    "for {} steps after a spike v^ = v, as the reset left it, whatever arrives, and z = 0; of CubaLIF i goes on"
)
"""Of all neurons, where they have such a time; no NIR node has it."""


def write_nir(model: nn.Module, path: str | Path, program: Program | None = None, dt: float = DT) -> list[Folded]:
    """Write a float network of LIF neurons, whole or not at all; return its layers as they are in the file.

    Nodes: ``input``; of each layer ``cells_0_input`` (Affine), ``cells_0.lif`` (LIF, CubaLIF or IF) and, where it is
    recurrent, ``cells_0.w_rec`` (Linear) in a cycle with it; ``readout_input`` (Affine), ``readout`` (LI or I);
    ``output``. Weights are float64, so that what was folded in can be taken out again. Metadata of the graph, under
    ``pumice``: `RULES`, `RESETS`, the model's settings, parameters that only Pumice needs, and the program's nodes with
    widths and codes.

    Args:
        model: its parameters are what other tools read.
        path: of the file.
        program: what the model was lowered to.
        dt: seconds of a step in the file.

    Raises:
        PumiceError: the package nir is missing, a model with what NIR does not have, a bad ``dt``, or a folder that
            cannot be written to.
    """
    nir = require_nir()
    check_dt(dt)
    layers = layers_of(model)
    graph = _graph(nir, layers, dt, {"pumice": _metadata(model, layers, program, dt)})
    memory = io.BytesIO()
    nir.write(memory, graph)
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getvalue())
    return layers


def check_dt(dt: float) -> None:
    """Refuse what is no length of a step.

    Raises:
        PumiceError: naming it.
    """
    if not (np.isfinite(dt) and 0 < dt <= 1):
        raise PumiceError(f"dt={dt} are no seconds of a step, above 0 and up to 1; use {DT:g}, as snnTorch does")


def node_name(layer: str) -> str:
    """The stem of a layer's nodes: HDF5 reads ``/`` as a group."""
    return layer.replace("/", "_")


def _graph(nir: ModuleType, layers: Sequence[Folded], dt: float, metadata: dict[str, Any]) -> Any:
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array([layers[0].weight.shape[1]])})}
    edges: list[tuple[str, str]] = []
    last = "input"
    for layer in layers:
        stem = node_name(layer.name)
        tau = np.divide(dt, 1 - layer.alpha, where=layer.alpha < 1, out=np.full(len(layer.alpha), np.inf))
        made = stem if layer.threshold is None else f"{stem}.lif"
        nodes[f"{stem}_input"] = nir.Affine(weight=layer.weight, bias=layer.bias)
        zero = np.zeros_like(tau)
        rates = {"r": np.full_like(tau, 1 / dt)} if np.isinf(tau).all() else {"r": tau / dt}
        if layer.threshold is None:
            nodes[made] = nir.I(**rates) if np.isinf(tau).all() else nir.LI(tau=tau, v_leak=zero, **rates)
        else:
            rates |= {"v_threshold": np.full_like(tau, layer.threshold), "v_reset": zero.copy()}
            if layer.beta is not None:
                tau_syn = dt / (1 - layer.beta)
                rates |= {"tau_syn": tau_syn, "w_in": tau_syn / dt, "tau_mem": tau, "v_leak": zero}
                nodes[made] = nir.CubaLIF(**rates)
            else:
                nodes[made] = nir.IF(**rates) if np.isinf(tau).all() else nir.LIF(tau=tau, v_leak=zero, **rates)
        edges += [(last, f"{stem}_input"), (f"{stem}_input", made)]
        if layer.recurrent is not None:
            nodes[f"{stem}.w_rec"] = nir.Linear(weight=layer.recurrent)
            edges += [(made, f"{stem}.w_rec"), (f"{stem}.w_rec", made)]
        last = made
    nodes["output"] = nir.Output({"output": np.array([len(layers[-1].bias)])})
    return nir.NIRGraph(nodes, [*edges, (last, "output")], metadata=metadata)


def _metadata(model: Any, layers: Sequence[Folded], program: Program | None, dt: float) -> dict[str, Any]:
    own = {name: values for layer in layers for name, values in layer.own.items()}
    told: dict[str, Any] = {"format_version": FORMAT_VERSION, "writer": f"pumice {__version__}", "dt": float(dt)}
    resets = model.config.resets
    told |= RULES
    told["reset"] = (
        RESETS[resets[0]]
        if len({*resets}) == 1
        else "; ".join(f"layer {n}: {RESETS[one]}" for n, one in enumerate(resets))
    )
    if model.config.refractory:
        told["refractory"] = REFRACTORY.format(model.config.refractory)
    told["model"] = json.dumps({"family": "adlif", **asdict(model.config)})
    if own:
        told["parameters"] = own
    if program is not None:
        told["program"] = program_metadata(program)
    return told


def program_metadata(program: Program) -> dict[str, Any]:
    """Nodes, widths, exponents and codes of a program; JSON, and its arrays by the names that the JSON uses."""
    codes: dict[str, np.ndarray] = {}
    nodes = [pack_node(node, codes) for node in program]
    held = {name.replace("/", "."): values for name, values in codes.items() if values.size}
    told: dict[str, Any] = {"digest": digest(program), "nodes": json.dumps(nodes), "codes": held}
    told["class_names"] = json.dumps(list(program.class_names))
    if program.step_us is not None:
        told["step_us"] = program.step_us
    return told
