"""The float model of an adaptive LIF network as an ONNX model, step by step as ``AdLIFNetwork.step`` computes.

It is the sibling of ``s5.py``: torch's exporter does not write compiled scans.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from torch import Tensor

from ....errors import PumiceError
from ....models.adlif.cells import AdaptiveCell, CubaLIFCell, SpikingCell
from ....models.adlif.network import AdLIFNetwork
from ....models.adlif.readout import LeakyIntegrator
from ....program.nodes.resets import SUBTRACTING, is_late
from ..event import AFTER, Carried, EventGraph
from ..graph import Graph
from ..model import finish
from ..scan import BODY_PREFIX, over_events
from ..session import Session
from .steps import affine, constant, dtype_of, float_feed

_DOCS = {
    "value": "the step's values",
    "valid": "false: there is no step, and no state changes",
    "state": "what the stream remembers; zeros at its start",
    "next": "the same after this step",
    "series": "potentials after every step; steps that are not valid repeat the last",
    "logits": "potentials after the last step",
}


def build_float_step(network: AdLIFNetwork, class_names: Sequence[str]) -> onnx.ModelProto:
    """One step of a batch of streams, in the parameters' element type: ``value`` (B, F), ``valid`` (B,), states in and
    out, ``logits`` (B, C), the potentials.

    Raises:
        PumiceError: the network does not consist of spiking cells.
    """
    graph = Graph("float_step")
    event = EventGraph(graph)
    potentials = _write_step(event, network)
    graph.output(potentials, "logits", ["batch", network.config.num_classes])
    for state in event.states:
        graph.output(event.after[state.name], AFTER + state.name, ["batch", *state.shape])
    return _finish(graph, network, "One step of a batch of streams, states in and states out", class_names)


def build_float_sequence(network: AdLIFNetwork, class_names: Sequence[str]) -> onnx.ModelProto:
    """Whole samples, as ``AdLIFNetwork.sequence``: inputs as the step's with a length axis; both axes are dynamic;
    ``series`` (B, L, C), and ``logits`` (B, C) after the last valid step.

    Raises:
        PumiceError: the network does not consist of spiking cells.
    """
    classes = network.config.num_classes
    body = Graph("event", prefix=BODY_PREFIX)
    event = EventGraph(body)
    potentials = _write_step(event, network)
    graph, final = over_events("float_sequence", body, event, {"series": (potentials, (classes,))})
    graph.output(final.after["readout"], "logits", ["batch", classes])
    return _finish(graph, network, "Whole samples, padded and marked by valid, through a Scan over steps", class_names)


def _finish(graph: Graph, network: AdLIFNetwork, what: str, class_names: Sequence[str]) -> onnx.ModelProto:
    arithmetic = str(dtype_of(network))
    properties = {"class_names": json.dumps(list(class_names)), "arithmetic": arithmetic}
    cell = network.config.cell
    docs = {f"cells/{layer}": f"{hidden} {cell} neurons" for layer, hidden in enumerate(network.config.widths)}
    docs["readout"] = "leaky integrators"
    return finish(graph, properties, f"{what}: the float model, for reference", _DOCS, docs)


@torch.no_grad()
def _write_step(event: EventGraph, network: AdLIFNetwork) -> str:
    """All layers and the read-out; gives the potentials (B, C)."""
    graph, dtype = event.graph, dtype_of(network)
    event.begin(graph.input("valid", np.bool_, ["batch"]))
    value = graph.input("value", dtype, ["batch", network.config.in_features])
    for layer, cell in enumerate(network.cells):
        if not isinstance(cell, SpikingCell):
            raise PumiceError(f"ONNX has no writer for model.cell={network.config.cell}; use one of its spiking cells")
        graph.scope = f"cells/{layer}"
        value = _write_cell(event, cell, graph.scope, value, dtype)
    graph.scope = "readout"
    return _write_readout(event, network.readout, value, dtype)


def _write_cell(event: EventGraph, cell: SpikingCell, path: str, x: str, dtype: np.dtype) -> str:
    """The equations of ``models.scan.neurons.neuron_step``, in their order of operations; gives the spikes (B, H)."""
    graph = event.graph
    constants = cell.constants()
    alpha, rise, beta, coupling, jump = (
        constant(graph, tensor)
        for tensor in (constants.alpha, constants.risen, constants.beta, constants.coupling, constants.jump)
    )
    u, z = (event.open(Carried(f"{path}/{name}", (cell.hidden,), dtype)) for name in "uz")
    current = affine(graph, x, cell.input.weight, cell.input.bias)
    if constants.recurrent.shape[1]:
        current = graph.op("Add", current, graph.op("MatMul", z, constant(graph, constants.recurrent.T)))
    if isinstance(cell, AdaptiveCell):
        w = event.open(Carried(f"{path}/w", (cell.hidden,), dtype))
        current = graph.op("Sub", current, w)
    elif isinstance(cell, CubaLIFCell):
        synapse = event.open(Carried(f"{path}/i", (cell.hidden,), dtype))
        current = graph.op("Add", graph.op("Mul", synapse, beta), current)
        event.keep_unless_valid(f"{path}/i", current, 1)
    reached = graph.op("Add", graph.op("Mul", u, alpha), graph.op("Mul", current, rise))
    reset, threshold = cell.spiking.reset, graph.like(cell.spiking.threshold, reached)
    refractory, c, held = cell.spiking.refractory, "", ""
    if refractory:
        c = event.open(Carried(f"{path}/c", (cell.hidden,), dtype))
        held = graph.op("Greater", c, graph.like(0, c))
        reached = graph.op("Where", held, u, reached)
    if is_late(reset):
        left = graph.op("Sub", reached, threshold) if reset in SUBTRACTING else graph.like(0, reached)
        reached = graph.op("Where", graph.cast(z, bool), left, reached)
    spiked = graph.op("Greater", reached, threshold)
    if refractory:
        spiked = graph.op("And", spiked, graph.op("Not", held))
        left = graph.op("Sub", c, graph.cast(held, dtype))
        event.keep_unless_valid(f"{path}/c", graph.op("Where", spiked, graph.like(refractory, c), left), 1)
    spikes, rest = graph.cast(spiked, dtype), reached
    if not is_late(reset):
        left = graph.op("Sub", reached, threshold) if reset in SUBTRACTING else graph.like(0, reached)
        rest = graph.op("Where", spiked, left, reached)
    if isinstance(cell, AdaptiveCell):
        seen_u, seen_z = (rest, spikes) if cell.order == "se" else (u, z)
        kept = graph.op("Add", graph.op("Mul", w, beta), graph.op("Mul", seen_u, coupling))
        event.keep_unless_valid(f"{path}/w", graph.op("Add", kept, graph.op("Mul", seen_z, jump)), 1)
    event.keep_unless_valid(f"{path}/u", rest, 1)
    event.keep_unless_valid(f"{path}/z", spikes, 1)
    return spikes


def _write_readout(event: EventGraph, readout: LeakyIntegrator, x: str, dtype: np.dtype) -> str:
    graph, kappa = event.graph, readout.tau.decay()
    old = event.open(Carried("readout", (readout.linear.out_features,), dtype))
    rise = constant(graph, readout.risen(kappa))
    driven = graph.op("Mul", affine(graph, x, readout.linear.weight, readout.linear.bias), rise)
    new = graph.op("Add", graph.op("Mul", old, constant(graph, kappa)), driven)
    return event.keep_unless_valid("readout", new, 1)


def outputs(
    session: Session, network: AdLIFNetwork, inputs: Tensor, dt: None, lengths: Tensor, pool_dt: None
) -> tuple[np.ndarray, np.ndarray]:
    """The potentials (B, T, C) in onnxruntime and in torch."""
    potentials, _ = network.sequence(inputs)
    return session.run(float_feed(inputs, lengths))["series"], potentials.numpy()
