"""Layers of spiking neurons, and the leaky integrators that read them out."""

from __future__ import annotations

import numpy as np

from ....program.nodes import LIF, AdaptiveLIF, CubaLIF, DrivenLIF, LeakyIntegrator, Neurons, Node
from ....program.nodes.resets import SUBTRACTING, ZERO, is_late
from ..arithmetic import saturate, shift_left
from ..dialect import Writer
from ..event import Carried, ProgramEvent
from ..sums import Term, rounded_sum, store_sum

_CODES, SPIKES = np.dtype(np.int32), np.dtype(np.uint8)
"""Element types of potentials and adaptations, and of spikes, which matrix products take as they are."""


def write_lif(event: ProgramEvent, node: LIF) -> str:
    """One time step: potential, spikes and reset. States: u, and z where read."""
    (x,) = event.inputs_of(node)
    u = _open(event, node, "u", _CODES)
    z = _open(event, node, "z", SPIKES) if node.remembers_spikes else ""
    rest, spiked = _step(event, node, u, *_current(event, node, x, z))
    _keep(event, node, u=rest)
    return _spikes(event, node, spiked)


def write_cuba_lif(event: ProgramEvent, node: CubaLIF) -> str:
    """As ``write_lif``, of the synaptic current, which is a state as well."""
    (x,) = event.inputs_of(node)
    u, i = _open(event, node, "u", _CODES), _open(event, node, "i", _CODES)
    z = _open(event, node, "z", SPIKES) if node.remembers_spikes else ""
    kept, raised, right = node.synapse_shifts
    current, bound = _current(event, node, x, z)
    one = np.ones_like(node.beta)
    terms = [Term(i, node.beta, kept, node.synapse.magnitude), Term(current, one, raised, bound)]
    i = store_sum(event.graph, terms, 0, right, node.synapse)
    rest, spiked = _step(event, node, u, i, node.synapse.magnitude)
    _keep(event, node, u=rest, i=i)
    return _spikes(event, node, spiked)


def write_adaptive_lif(event: ProgramEvent, node: AdaptiveLIF) -> str:
    """As ``write_lif``, less the adaptation, which is a state as well."""
    graph = event.graph
    (x,) = event.inputs_of(node)
    u, w = _open(event, node, "u", _CODES), _open(event, node, "w", _CODES)
    z = _open(event, node, "z", SPIKES) if node.remembers_spikes else ""
    rest, spiked = _step(event, node, u, *_adapted(event, node, *_current(event, node, x, z), w))
    seen = (rest, spiked) if node.order == "se" else (u, graph.cast(z, bool))
    _keep(event, node, u=rest, w=_adapt(event, node, w, *seen))
    return _spikes(event, node, spiked)


def write_driven_lif(event: ProgramEvent, node: DrivenLIF) -> str:
    """One time step of neurons without synapses: what is kept of the potential, and the current. State: u."""
    graph, name = event.graph, f"{node.name}/u"
    (arriving,) = event.inputs_of(node)
    old = event.open(Carried(name, (node.channels,), _CODES))
    decayed = [Term(old, node.alpha, 0, node.potential.magnitude)]
    kept, bound = rounded_sum(graph, decayed, 0, node.alpha_frac)
    bound += node.format.magnitude
    dtype = np.dtype(np.int32 if bound < 1 << 31 else np.int64)
    total = graph.op("Add", graph.cast(kept, dtype), graph.cast(arriving, dtype))
    rest, spiked = _fire(event, node, saturate(graph, total, node.potential, bound))
    event.keep_unless_valid(name, rest, event.program.rates[node.name])
    return graph.cast(spiked, SPIKES)


def write_leaky_integrator(event: ProgramEvent, node: LeakyIntegrator) -> str:
    """One time step of the potentials; an event that is not valid gives those of the step before."""
    (x,) = event.inputs_of(node)
    old = event.open(Carried(node.name, (node.channels,), _CODES))
    terms = [
        Term(old, node.decay, node.decay_shift, node.output.magnitude),
        Term(x, node.weight, node.weight_shift, node.format.magnitude, node.format),
    ]
    new = store_sum(event.graph, terms, node.bias, node.output_shift, node.output)
    return event.keep_unless_valid(node.name, new, event.program.rates[node.name])


def _open(event: ProgramEvent, node: Neurons, name: str, dtype: np.dtype) -> str:
    return event.open(Carried(f"{node.name}/{name}", (node.neurons,), dtype))


def _keep(event: ProgramEvent, node: Neurons, **states: str) -> None:
    for name, value in states.items():
        event.keep_unless_valid(f"{node.name}/{name}", value, event.program.rates[node.name])


def _current(event: ProgramEvent, node: Neurons, x: str, z: str) -> tuple[str, int]:
    """``I = rhu(W x + V z + bias)``, and a bound of its magnitude."""
    terms = [Term(x, node.input, node.input_shift, node.format.magnitude, node.format)]
    if node.is_recurrent:
        terms.append(Term(z, node.recurrent, node.recurrent_shift, 1, node.output))
    return rounded_sum(event.graph, terms, node.bias, node.current_shift)


def _adapted(event: ProgramEvent, node: AdaptiveLIF, current: str, bound: int, w: str) -> tuple[str, int]:
    """``I - w``, at the finer one's fractional bits, and a bound of its magnitude."""
    graph, (own, adapted) = event.graph, node.drive_shifts
    bound = (bound << own) + (node.adaptation.magnitude << adapted)
    dtype = np.dtype(np.int32 if bound < 1 << 31 else np.int64)
    current = shift_left(graph, graph.cast(current, dtype), own)
    return graph.op("Sub", current, shift_left(graph, graph.cast(w, dtype), adapted)), bound


def _step(event: ProgramEvent, node: Neurons, u: str, drive: str, bound: int) -> tuple[str, str]:
    """Potentials after the reset, and where neurons spiked; where c counts refractory steps, u is held."""
    reached = _integrate(event, node, u, drive, bound)
    if not node.refractory:
        return _fire(event, node, reached, node.reset)
    graph, c = event.graph, _open(event, node, "c", _CODES)
    held = graph.op("Greater", c, graph.like(0, c))
    rest, spiked = _fire(event, node, graph.op("Where", held, u, reached), node.reset, graph.op("Not", held))
    left = graph.op("Sub", c, graph.cast(held, _CODES))
    _keep(event, node, c=graph.op("Where", spiked, graph.like(node.refractory, c), left))
    return rest, spiked


def _integrate(event: ProgramEvent, node: Neurons, u: str, drive: str, bound: int) -> str:
    """``sat(rhu(alpha u + rise drive))``, after a late reset where u tells of a spike."""
    graph, (decayed, driven, right) = event.graph, node.potential_shifts
    terms = [Term(u, node.alpha, decayed, node.potential.magnitude), Term(drive, node.rise, driven, bound)]
    if not is_late(node.reset):
        return store_sum(graph, terms, 0, right, node.potential)
    spiked = graph.op("Greater", u, graph.like(node.threshold, u))
    if node.reset in SUBTRACTING:
        terms.append(Term(spiked, -node.threshold.astype(np.int64), right, 1))
        return store_sum(graph, terms, 0, right, node.potential)
    raised = store_sum(graph, terms, 0, right, node.potential)
    return graph.op("Where", spiked, graph.like(0, raised), raised)


def _fire(
    event: ProgramEvent, node: Neurons | DrivenLIF, reached: str, reset: str = ZERO, free: str = ""
) -> tuple[str, str]:
    """Potentials after the reset, and where neurons spiked, (B, H) bool; only ``free`` ones do, where that is given."""
    graph = event.graph
    compared = graph.cast(reached, np.int64) if node.threshold.min() < np.iinfo(_CODES).min else reached
    spiked = graph.op("Greater", compared, graph.like(node.threshold, compared))
    spiked = graph.op("And", spiked, free) if free else spiked
    if is_late(reset):
        return reached, spiked
    rest = graph.like(0, reached)
    if reset in SUBTRACTING:
        rest = graph.op("Sub", reached, graph.like(node.threshold, reached))
    return graph.op("Where", spiked, rest, reached), spiked


def _spikes(event: ProgramEvent, node: Neurons, spiked: str) -> str:
    """The edge; it is remembered where the next step reads it."""
    spikes = event.graph.cast(spiked, SPIKES)
    if node.remembers_spikes:
        _keep(event, node, z=spikes)
    return spikes


def _adapt(event: ProgramEvent, node: AdaptiveLIF, w: str, u: str, spiked: str) -> str:
    """``sat(rhu(beta w + coupling u + jump z))``."""
    kept, coupled, jumped, right = node.adaptation_shifts
    terms = [
        Term(w, node.beta, kept, node.adaptation.magnitude),
        Term(u, node.coupling, coupled, node.potential.magnitude),
        Term(spiked, node.jump, jumped, 1),
    ]
    return store_sum(event.graph, terms, 0, right, node.adaptation)


WRITERS: dict[type[Node], Writer] = {
    LIF: write_lif,
    AdaptiveLIF: write_adaptive_lif,
    CubaLIF: write_cuba_lif,
    DrivenLIF: write_driven_lif,
    LeakyIntegrator: write_leaky_integrator,
}
