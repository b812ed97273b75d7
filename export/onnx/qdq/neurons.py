"""Spiking neurons and leaky integrators: weights and constants as integers, their dynamics in float32."""

from __future__ import annotations

import numpy as np

from ....program.nodes import LIF, AdaptiveLIF, CubaLIF, DrivenLIF, LeakyIntegrator, Neurons, Node
from ....program.nodes.resets import SUBTRACTING, ZERO, is_late
from ..dialect import Writer
from ..event import Carried, ProgramEvent
from ..graph import Graph
from .quantize import codes_to_real, matmul, quantize, real

_FLOAT = np.dtype(np.float32)


def write_lif(event: ProgramEvent, node: LIF) -> str:
    """One time step. Potentials are real, rounded where they are stored; spikes are 0.0 or 1.0."""
    u, z = (_open(event, node, name) for name in "uz")
    rest, spikes = _fire(event, node, u, _drive(event, node, z))
    _keep(event, node, u=rest, z=spikes)
    return spikes


def write_cuba_lif(event: ProgramEvent, node: CubaLIF) -> str:
    """As ``write_lif``, of the synaptic current, which is rounded as well."""
    graph = event.graph
    u, z, i = (_open(event, node, name) for name in "uzi")
    summed = graph.op("Add", _times(event, node, "beta", i), _drive(event, node, z))
    synapse = quantize(graph, summed, node.synapse)
    rest, spikes = _fire(event, node, u, synapse)
    _keep(event, node, i=synapse, u=rest, z=spikes)
    return spikes


def write_adaptive_lif(event: ProgramEvent, node: AdaptiveLIF) -> str:
    """As ``write_lif``, less the adaptation, which is rounded as well."""
    graph = event.graph
    u, z, w = (_open(event, node, name) for name in "uzw")
    rest, spikes = _fire(event, node, u, graph.op("Sub", _drive(event, node, z), w))
    seen_u, seen_z = (rest, spikes) if node.order == "se" else (u, z)
    kept = graph.op("Add", _times(event, node, "beta", w), _times(event, node, "coupling", seen_u))
    adapted = quantize(graph, graph.op("Add", kept, _times(event, node, "jump", seen_z)), node.adaptation)
    _keep(event, node, w=adapted, u=rest, z=spikes)
    return spikes


def write_driven_lif(event: ProgramEvent, node: DrivenLIF) -> str:
    """One time step of neurons without synapses."""
    graph, name = event.graph, f"{node.name}/u"
    (arriving,) = event.inputs_of(node)
    old = event.open(Carried(name, (node.channels,), _FLOAT))
    kept = graph.op("Mul", old, codes_to_real(graph, node.alpha, node.constant_width, node.alpha_frac))
    rest, spikes = _spike(graph, quantize(graph, graph.op("Add", kept, arriving), node.potential), node)
    event.keep_unless_valid(name, rest, event.program.rates[node.name])
    return spikes


def write_leaky_integrator(event: ProgramEvent, node: LeakyIntegrator) -> str:
    """One time step of the potentials."""
    graph = event.graph
    (x,) = event.inputs_of(node)
    old = event.open(Carried(node.name, (node.channels,), _FLOAT))
    kept = graph.op("Mul", old, codes_to_real(graph, node.decay, node.decay_width, node.decay_frac))
    driven = _affine(event, x, node.weight, node.weight_width, node.weight_frac, node.bias, node.accumulator_frac)
    new = quantize(graph, graph.op("Add", kept, driven), node.output)
    return event.keep_unless_valid(node.name, new, event.program.rates[node.name])


def _open(event: ProgramEvent, node: Neurons, name: str) -> str:
    return event.open(Carried(f"{node.name}/{name}", (node.neurons,), _FLOAT))


def _keep(event: ProgramEvent, node: Neurons, **states: str) -> None:
    for name, value in states.items():
        event.keep_unless_valid(f"{node.name}/{name}", value, event.program.rates[node.name])


def _times(event: ProgramEvent, node: Neurons, name: str, tensor: str) -> str:
    """A constant of each neuron times ``tensor``."""
    return matmul(event.graph, tensor, getattr(node, name), node.constant_width, getattr(node, f"{name}_frac"))


def _drive(event: ProgramEvent, node: Neurons, z: str) -> str:
    """``W x + V z + bias``."""
    graph = event.graph
    (x,) = event.inputs_of(node)
    drive = _affine(event, x, node.input, node.input_width, node.input_frac, node.bias, node.accumulator_frac)
    if not node.is_recurrent:
        return drive
    return graph.op("Add", drive, matmul(graph, z, node.recurrent, node.recurrent_width, node.recurrent_frac))


def _fire(event: ProgramEvent, node: Neurons, u: str, drive: str) -> tuple[str, str]:
    """Potentials after the reset, and spikes."""
    graph = event.graph
    driven = graph.op("Add", _times(event, node, "alpha", u), _times(event, node, "rise", drive))
    if node.refractory:
        return _refractory(event, node, u, quantize(graph, driven, node.potential))
    if not is_late(node.reset):
        return _spike(graph, quantize(graph, driven, node.potential), node, node.reset)
    threshold = real(graph, node.threshold * node.potential.scale)
    left = graph.op("Sub", driven, threshold) if node.reset in SUBTRACTING else graph.like(0, driven)
    raised = graph.op("Where", graph.op("Greater", u, threshold), left, driven)
    return _spike(graph, quantize(graph, raised, node.potential), node, node.reset)


def _refractory(event: ProgramEvent, node: Neurons, u: str, reached: str) -> tuple[str, str]:
    """As `_spike`; where c counts refractory steps, u is held."""
    graph, c = event.graph, _open(event, node, "c")
    held = graph.op("Greater", c, graph.like(0, c))
    rest, spikes = _spike(graph, graph.op("Where", held, u, reached), node, node.reset, graph.op("Not", held))
    left = graph.op("Sub", c, graph.cast(held, _FLOAT))
    _keep(event, node, c=graph.op("Where", graph.cast(spikes, bool), graph.like(node.refractory, c), left))
    return rest, spikes


def _spike(graph: Graph, reached: str, node: Neurons | DrivenLIF, reset: str = ZERO, free: str = "") -> tuple[str, str]:
    threshold = real(graph, node.threshold * node.potential.scale)
    spiked = graph.op("Greater", reached, threshold)
    spiked = graph.op("And", spiked, free) if free else spiked
    spikes = graph.cast(spiked, _FLOAT)
    if is_late(reset):
        return reached, spikes
    rest = graph.op("Sub", reached, threshold) if reset in SUBTRACTING else graph.like(0, reached)
    return graph.op("Where", spiked, rest, reached), spikes


def _affine(
    event: ProgramEvent,
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


WRITERS: dict[type[Node], Writer] = {
    LIF: write_lif,
    AdaptiveLIF: write_adaptive_lif,
    CubaLIF: write_cuba_lif,
    DrivenLIF: write_driven_lif,
    LeakyIntegrator: write_leaky_integrator,
}
