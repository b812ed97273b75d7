"""Spiking neurons and leaky integrators: weights and constants as integers, their dynamics in float32."""

from __future__ import annotations

import numpy as np

from ....program.nodes import AdaptiveLIF, LeakyIntegrator, Neurons
from ..event import EventGraph, State
from .quantize import codes_to_real, matmul, quantize, real

_FLOAT = np.dtype(np.float32)


def write_neurons(event: EventGraph, node: Neurons) -> str:
    """One time step. Potentials and adaptations are real, rounded where they are stored; spikes are 0.0 or 1.0."""
    graph, rate = event.graph, event.program.rates[node.name]
    (x,) = event.inputs_of(node)
    names = "uzw" if isinstance(node, AdaptiveLIF) else "uz"
    u, z, *adaptation = (event.open(State(f"{node.name}/{name}", (node.neurons,), _FLOAT)) for name in names)

    def times(name: str, tensor: str) -> str:
        return matmul(graph, tensor, getattr(node, name), node.constant_width, getattr(node, f"{name}_frac"))

    drive = _affine(event, x, node.input, node.input_width, node.input_frac, node.bias, node.accumulator_frac)
    if node.is_recurrent:
        drive = graph.op("Add", drive, matmul(graph, z, node.recurrent, node.recurrent_width, node.recurrent_frac))
    if adaptation:
        drive = graph.op("Sub", drive, adaptation[0])
    reached = quantize(graph, graph.op("Add", times("alpha", u), times("rise", drive)), node.potential)
    threshold = real(graph, node.threshold * node.potential.scale)
    spiked = graph.op("Greater", reached, threshold)
    rest, spikes = graph.op("Where", spiked, graph.like(0, reached), reached), graph.cast(spiked, _FLOAT)
    if adaptation:
        seen_u, seen_z = (rest, spikes) if node.order == "se" else (u, z)
        kept = graph.op("Add", times("beta", adaptation[0]), times("coupling", seen_u))
        adapted = quantize(graph, graph.op("Add", kept, times("jump", seen_z)), node.adaptation)
        event.keep_unless_valid(f"{node.name}/w", adapted, rate)
    event.keep_unless_valid(f"{node.name}/u", rest, rate)
    event.keep_unless_valid(f"{node.name}/z", spikes, rate)
    return spikes


def write_leaky_integrator(event: EventGraph, node: LeakyIntegrator) -> str:
    """One time step of the potentials."""
    graph = event.graph
    (x,) = event.inputs_of(node)
    old = event.open(State(node.name, (node.channels,), _FLOAT))
    kept = graph.op("Mul", old, codes_to_real(graph, node.decay, node.decay_width, node.decay_frac))
    driven = _affine(event, x, node.weight, node.weight_width, node.weight_frac, node.bias, node.accumulator_frac)
    new = quantize(graph, graph.op("Add", kept, driven), node.output)
    return event.keep_unless_valid(node.name, new, event.program.rates[node.name])


def _affine(
    event: EventGraph,
    x: str,
    weight: np.ndarray,
    width: int,
    frac: np.ndarray,
    bias: np.ndarray,
    bias_frac: np.ndarray,
) -> str:
    """``W x + bias``."""
    graph = event.graph
    product = matmul(graph, x, weight, width, frac)
    return graph.op("Add", product, real(graph, bias * 2.0**-bias_frac)) if bias.any() else product
