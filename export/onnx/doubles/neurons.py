"""Layers of spiking neurons, and the leaky integrators that read them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ....program.nodes import LIF, AdaptiveLIF, CubaLIF, DrivenLIF, LeakyIntegrator, Neurons, Node
from ....program.nodes.resets import SUBTRACTING, ZERO, is_late
from ..dialect import Writer
from ..event import Carried, ProgramEvent
from ..graph import Graph
from ..sums import Term
from .arithmetic import DOUBLE, rounded_sum, store_sum


def write_neurons(event: ProgramEvent, node: Neurons) -> str:
    """One time step of neurons with synapses. States: u, the second one where there is one, and z where read."""
    (x,) = event.inputs_of(node)
    names = [*STATES[type(node)], *(["z"] if node.remembers_spikes else []), *(["c"] if node.refractory else [])]
    states = {name: event.open(Carried(f"{node.name}/{name}", (node.neurons,), DOUBLE)) for name in names}
    terms = [Term(x, node.input, node.input_shift, node.format.magnitude, node.format)]
    if node.is_recurrent:
        terms.append(Term(states["z"], node.recurrent, node.recurrent_shift, 1, node.output))
    new, spikes = STEPS[type(node)](event.graph, node, terms, states)
    for name in names:
        event.set(f"{node.name}/{name}", {"z": spikes, **new}[name])
    return spikes


def risen(graph: Graph, node: Neurons, terms: list[Term], exponent: int) -> tuple[list[Term], int | np.ndarray]:
    """``rise I 2**exponent`` as operands and constant of a sum, I being the rounded sum of ``terms``.

    A current that is not rounded is no sum of its own.
    """
    if node.current_shift.max() > 0:
        current, bound = rounded_sum(graph, terms, node.bias, node.current_shift)
        return [Term(current, node.rise, exponent, bound)], 0
    left = exponent - node.current_shift.astype(np.int64)
    constant = node.bias.astype(object) * node.rise.astype(object) * 2 ** left.astype(object)
    return [replace(term, shift=term.shift + left, factor=node.rise) for term in terms], constant


def step_lif(graph: Graph, node: LIF, terms: list[Term], states: dict[str, str]) -> tuple[dict[str, str], str]:
    """From the operands of the current and the states before to those after and the spikes."""
    return spike(graph, node, *risen(graph, node, terms, node.potential_shifts[1]), states)


def step_cuba_lif(graph: Graph, node: CubaLIF, terms: list[Term], states: dict[str, str]) -> tuple[dict[str, str], str]:
    """As ``step_lif``, of the synaptic current, which is a state as well."""
    current, bound = rounded_sum(graph, terms, node.bias, node.current_shift)
    kept, raised, right = node.synapse_shifts
    one, largest = np.ones_like(node.beta), node.synapse.magnitude
    arriving = [Term(states["i"], node.beta, kept, largest), Term(current, one, raised, bound)]
    i = store_sum(graph, arriving, 0, right, node.synapse)
    driven = [Term(i, node.rise, node.potential_shifts[1], largest)]
    new, spikes = spike(graph, node, driven, 0, states)
    return {**new, "i": i}, spikes


def step_adaptive_lif(
    graph: Graph, node: AdaptiveLIF, terms: list[Term], states: dict[str, str]
) -> tuple[dict[str, str], str]:
    """As ``step_lif``, less the adaptation, which is a state as well."""
    (own, adapted), driven = node.drive_shifts, node.potential_shifts[1]
    u, w, magnitude = states["u"], states["w"], node.adaptation.magnitude
    operands, constant = risen(graph, node, terms, driven + own)
    lost = Term(w, -node.rise.astype(np.int64), driven + adapted, magnitude)
    new, spikes = spike(graph, node, [*operands, lost], constant, states)
    seen_u, seen_z = (new["u"], spikes) if node.order == "se" else (u, states["z"])
    kept, coupled, jumped, right = node.adaptation_shifts
    terms = [
        Term(w, node.beta, kept, magnitude),
        Term(seen_u, node.coupling, coupled, node.potential.magnitude),
        Term(seen_z, node.jump, jumped, 1),
    ]
    return {**new, "w": store_sum(graph, terms, 0, right, node.adaptation)}, spikes


def spike(
    graph: Graph, node: Neurons, driven: list[Term], constant: int | np.ndarray, states: dict[str, str]
) -> tuple[dict[str, str], str]:
    """Potentials after the reset, and spikes; where c counts refractory steps, u is held."""
    u = states["u"]
    reached = integrate(graph, node, u, driven, constant)
    if not node.refractory:
        rest, spikes = fire(graph, node, reached, node.reset)
        return {"u": rest}, spikes
    c, one = states["c"], graph.constant(1, DOUBLE)
    held = graph.op("Min", c, one)
    reached = graph.op("Add", reached, graph.op("Mul", held, graph.op("Sub", u, reached)))
    rest, spikes = fire(graph, node, reached, node.reset, graph.op("Sub", one, held))
    started = graph.op("Mul", spikes, graph.constant(node.refractory, DOUBLE))
    return {"u": rest, "c": graph.op("Add", graph.op("Sub", c, held), started)}, spikes


def integrate(graph: Graph, node: Neurons, u: str, driven: list[Term], constant: int | np.ndarray) -> str:
    """``sat(rhu(alpha u + drive + constant))``, after a late reset where u tells of a spike."""
    decayed, _, right = node.potential_shifts
    terms = [Term(u, node.alpha, decayed, node.potential.magnitude), *driven]
    if not is_late(node.reset):
        return store_sum(graph, terms, constant, right, node.potential)
    spiked = graph.cast(graph.op("Greater", u, graph.constant(node.threshold, DOUBLE)), DOUBLE)
    if node.reset in SUBTRACTING:
        terms.append(Term(spiked, -node.threshold.astype(np.int64), right, 1))
        return store_sum(graph, terms, constant, right, node.potential)
    raised = store_sum(graph, terms, constant, right, node.potential)
    return graph.op("Sub", raised, graph.op("Mul", raised, spiked))


def fire(graph: Graph, node: Neurons | DrivenLIF, reached: str, reset: str = ZERO, free: str = "") -> tuple[str, str]:
    """Potentials after the reset, and spikes, (B, H); only where ``free`` is 1, if that is given."""
    threshold = graph.constant(node.threshold, DOUBLE)
    spikes = graph.cast(graph.op("Greater", reached, threshold), DOUBLE)
    spikes = graph.op("Mul", spikes, free) if free else spikes
    if is_late(reset):
        return reached, spikes
    lost = graph.op("Mul", spikes, threshold if reset in SUBTRACTING else reached)
    return graph.op("Sub", reached, lost), spikes


def write_driven_lif(event: ProgramEvent, node: DrivenLIF) -> str:
    """One time step of neurons without synapses: what is kept of the potential, and the current. State: u."""
    graph, name = event.graph, f"{node.name}/u"
    arriving = graph.cast(event.inputs_of(node)[0], DOUBLE)
    old = event.open(Carried(name, (node.channels,), DOUBLE))
    kept, _ = rounded_sum(graph, [Term(old, node.alpha, 0, node.potential.magnitude)], 0, node.alpha_frac)
    form = node.potential
    limits = graph.constant(form.min, DOUBLE), graph.constant(form.max, DOUBLE)
    rest, spikes = fire(graph, node, graph.op("Clip", graph.op("Add", kept, arriving), *limits))
    event.set(name, rest)
    return spikes


def write_leaky_integrator(event: ProgramEvent, node: LeakyIntegrator) -> str:
    """One time step of the potentials; in a Scan an event that is not valid gives those of the step before."""
    (x,) = event.inputs_of(node)
    old = event.open(Carried(node.name, (node.channels,), DOUBLE))
    terms = [
        Term(old, node.decay, node.decay_shift, node.output.magnitude),
        Term(x, node.weight, node.weight_shift, node.format.magnitude, node.format),
    ]
    new = store_sum(event.graph, terms, node.bias, node.output_shift, node.output)
    if not event.repeats(node.name):
        new = event.graph.op("Where", event.valid(event.program.rates[node.name]), new, old)
    return event.set(node.name, new)


Step = Callable[..., tuple[dict[str, str], str]]
STEPS: dict[type[Node], Step] = {LIF: step_lif, CubaLIF: step_cuba_lif, AdaptiveLIF: step_adaptive_lif}
STATES: dict[type[Node], tuple[str, ...]] = {LIF: ("u",), CubaLIF: ("u", "i"), AdaptiveLIF: ("u", "w")}
WRITERS: dict[type[Node], Writer] = {
    **dict.fromkeys(STEPS, write_neurons),
    DrivenLIF: write_driven_lif,
    LeakyIntegrator: write_leaky_integrator,
}
