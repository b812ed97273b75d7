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
    "update": "v^ = v + dt / tau (r I - v), one step dt a row of input; r = tau / dt, so that I enters with gain 1",
    "spike": "z = 1 where v^ > v_threshold, strictly",
    "reset": "to v_reset = 0, at once: v = 0 where z = 1, in the step of the spike",
    "recurrence": "w_rec multiplies the spikes of the step before; all states and spikes are 0 before the first step",
    "folding": "the weights that make I are Pumice's times 1 - alpha, alpha = 1 - dt / tau",
    "units": "rows of input are the values that the float model reads, as they are",
    "codes": (
        "a code q of fractional bits f stands for q 2^-f; products are summed exactly, shifted with rounding half up, "
        "floor(x + 1/2), and saturated to their width"
    ),
}
"""What a file says of its arithmetic, beside the numbers."""


def write_nir(model: nn.Module, path: str | Path, program: Program | None = None, dt: float = DT) -> list[Folded]:
    """Write a float network of LIF neurons, whole or not at all; return its layers as they are in the file.

    Nodes: ``input``; of each layer ``cells_0_input`` (Affine), ``cells_0.lif`` (LIF) and, where it is recurrent,
    ``cells_0.w_rec`` (Linear) in a cycle with it; ``readout_input`` (Affine), ``readout`` (LI); ``output``. Weights are
    float64, so that what was folded in can be taken out again. Metadata of the graph, under ``pumice``: `RULES`, the
    model's settings, parameters that only Pumice needs, and the program's nodes with widths and codes.

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
    if not (np.isfinite(dt) and 0 < dt <= 1):
        raise PumiceError(f"dt={dt} are no seconds of a step, above 0 and up to 1; use {DT:g}, as snnTorch does")
    layers = layers_of(model)
    graph = _graph(nir, layers, dt, {"pumice": _metadata(model, layers, program, dt)})
    memory = io.BytesIO()
    nir.write(memory, graph)
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getvalue())
    return layers


def node_name(layer: str) -> str:
    """The stem of a layer's nodes: HDF5 reads ``/`` as a group."""
    return layer.replace("/", "_")


def _graph(nir: ModuleType, layers: Sequence[Folded], dt: float, metadata: dict[str, Any]) -> Any:
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array([layers[0].weight.shape[1]])})}
    edges: list[tuple[str, str]] = []
    last = "input"
    for layer in layers:
        stem, tau = node_name(layer.name), dt / (1 - layer.alpha)
        made = stem if layer.threshold is None else f"{stem}.lif"
        nodes[f"{stem}_input"] = nir.Affine(weight=layer.weight, bias=layer.bias)
        zero, gain = np.zeros_like(tau), tau / dt
        if layer.threshold is None:
            nodes[made] = nir.LI(tau=tau, r=gain, v_leak=zero)
        else:
            threshold = np.full_like(tau, layer.threshold)
            nodes[made] = nir.LIF(tau=tau, r=gain, v_leak=zero, v_threshold=threshold, v_reset=zero.copy())
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
    told |= RULES
    told["model"] = json.dumps({"family": "adlif", **asdict(model.config)})
    if own:
        told["parameters"] = own
    if program is not None:
        told["program"] = _program(program)
    return told


def _program(program: Program) -> dict[str, Any]:
    """Nodes, widths, exponents and codes of a program; JSON, and its arrays by the names that the JSON uses."""
    codes: dict[str, np.ndarray] = {}
    nodes = [pack_node(node, codes) for node in program]
    held = {name.replace("/", "."): values for name, values in codes.items() if values.size}
    told: dict[str, Any] = {"digest": digest(program), "nodes": json.dumps(nodes), "codes": held}
    told["class_names"] = json.dumps(list(program.class_names))
    if program.step_us is not None:
        told["step_us"] = program.step_us
    return told
