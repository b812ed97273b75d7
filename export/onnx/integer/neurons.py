"""Layers of spiking neurons, and the leaky integrators that read them out."""

from __future__ import annotations

import numpy as np

from ....program.bounds import register
from ....program.formats import Format
from ....program.nodes import LIF, AdaptiveLIF, LeakyIntegrator, Neurons
from ..arithmetic import accumulator_dtype, matmul, saturate, shift_half_up, shift_left
from ..event import Carried, ProgramEvent

_CODES, SPIKES = np.dtype(np.int32), np.dtype(np.uint8)
"""Element types of potentials and adaptations, and of spikes, which matrix products take as they are."""


def write_lif(event: ProgramEvent, node: LIF) -> str:
    """One time step: potential, spikes and reset. States: u, and z where read."""
    (x,) = event.inputs_of(node)
    u = _open(event, node, "u", _CODES)
    z = _open(event, node, "z", SPIKES) if node.remembers_spikes else ""
    rest, spiked = _fire(event, node, _integrate(event, node, u, _current(event, node, x, z)))
    _keep(event, node, u=rest)
    return _spikes(event, node, spiked)


def write_adaptive_lif(event: ProgramEvent, node: AdaptiveLIF) -> str:
    """As ``write_lif``, less the adaptation, which is a state as well."""
    graph = event.graph
    (x,) = event.inputs_of(node)
    u, w = _open(event, node, "u", _CODES), _open(event, node, "w", _CODES)
    z = _open(event, node, "z", SPIKES) if node.remembers_spikes else ""
    drive = _adapted(event, node, _current(event, node, x, z), w)
    rest, spiked = _fire(event, node, _integrate(event, node, u, drive))
    seen = (rest, spiked) if node.order == "se" else (u, graph.cast(z, bool))
    _keep(event, node, u=rest, w=_adapt(event, node, w, *seen))
    return _spikes(event, node, spiked)


def write_leaky_integrator(event: ProgramEvent, node: LeakyIntegrator) -> str:
    """One time step of the potentials; an event that is not valid gives those of the step before."""
    graph = event.graph
    bound = node.bounds()["the potential"]
    dtype = accumulator_dtype(register(bound))
    (x,) = event.inputs_of(node)
    old = event.open(Carried(node.name, (node.channels,), _CODES))
    kept = _times(event, old, node.decay, node.decay_shift, dtype)
    driven = shift_left(graph, matmul(graph, x, node.format, node.weight, dtype), node.weight_shift)
    new = _store(event, graph.op("Add", kept, driven), node.output_shift, node.output, bound, node.bias)
    return event.keep_unless_valid(node.name, new, event.program.rates[node.name])


def _open(event: ProgramEvent, node: Neurons, name: str, dtype: np.dtype) -> str:
    return event.open(Carried(f"{node.name}/{name}", (node.neurons,), dtype))


def _keep(event: ProgramEvent, node: Neurons, **states: str) -> None:
    for name, value in states.items():
        event.keep_unless_valid(f"{node.name}/{name}", value, event.program.rates[node.name])


def _current(event: ProgramEvent, node: Neurons, x: str, z: str) -> str:
    """``I = rhu(W x + V z + bias)``."""
    graph = event.graph
    dtype = accumulator_dtype(register(node.bounds()["the current"]))
    total = shift_left(graph, matmul(graph, x, node.format, node.input, dtype), node.input_shift)
    if node.is_recurrent:
        fed_back = matmul(graph, z, node.output, node.recurrent, dtype)
        total = graph.op("Add", total, shift_left(graph, fed_back, node.recurrent_shift))
    return shift_half_up(graph, total, node.current_shift, node.bias)


def _adapted(event: ProgramEvent, node: AdaptiveLIF, current: str, w: str) -> str:
    """``I - w``, at the finer one's fractional bits."""
    graph = event.graph
    dtype = accumulator_dtype(register(node.bounds()["the potential"]))
    own, adapted = node.drive_shifts
    current = shift_left(graph, graph.cast(current, dtype), own)
    return graph.op("Sub", current, shift_left(graph, graph.cast(w, dtype), adapted))


def _integrate(event: ProgramEvent, node: Neurons, u: str, drive: str) -> str:
    """``sat(rhu(alpha u + rise drive))``."""
    graph = event.graph
    bound = node.bounds()["the potential"]
    dtype = accumulator_dtype(register(bound))
    decayed, driven, right = node.potential_shifts
    kept = _times(event, u, node.alpha, decayed, dtype)
    total = graph.op("Add", kept, _times(event, drive, node.rise, driven, dtype))
    return _store(event, total, right, node.potential, bound)


def _fire(event: ProgramEvent, node: Neurons, reached: str) -> tuple[str, str]:
    """Potentials after the reset, and where neurons spiked, (B, H) bool."""
    graph = event.graph
    compared = graph.cast(reached, np.int64) if node.threshold.min() < np.iinfo(_CODES).min else reached
    spiked = graph.op("Greater", compared, graph.like(node.threshold, compared))
    return graph.op("Where", spiked, graph.like(0, reached), reached), spiked


def _spikes(event: ProgramEvent, node: Neurons, spiked: str) -> str:
    """The edge; it is remembered where the next step reads it."""
    spikes = event.graph.cast(spiked, SPIKES)
    if node.remembers_spikes:
        _keep(event, node, z=spikes)
    return spikes


def _adapt(event: ProgramEvent, node: AdaptiveLIF, w: str, u: str, spiked: str) -> str:
    """``sat(rhu(beta w + coupling u + jump z))``."""
    graph = event.graph
    bound = node.bounds()["the adaptation"]
    dtype = accumulator_dtype(register(bound))
    kept, coupled, jumped, right = node.adaptation_shifts
    jump = graph.constant(np.left_shift(node.jump.astype(np.int64), jumped), dtype)
    total = graph.op("Add", _times(event, w, node.beta, kept, dtype), _times(event, u, node.coupling, coupled, dtype))
    total = graph.op("Add", total, graph.op("Where", spiked, jump, graph.like(0, jump)))
    return _store(event, total, right, node.adaptation, bound)


def _times(event: ProgramEvent, tensor: str, constant: np.ndarray, shift: int | np.ndarray, dtype: np.dtype) -> str:
    """``constant * tensor * 2**shift`` in ``dtype``."""
    graph = event.graph
    factor = graph.constant(np.left_shift(constant.astype(np.int64), shift), dtype)
    return graph.op("Mul", graph.cast(tensor, dtype), factor)


def _store(
    event: ProgramEvent, total: str, shift: int | np.ndarray, format: Format, bound: int, bias: int | np.ndarray = 0
) -> str:
    """``sat(rhu((total + bias) / 2**shift))``; ``bound`` is that of the sum with its rounding term."""
    least = int(np.min(shift))
    rounded = shift_half_up(event.graph, total, shift, bias)
    return saturate(event.graph, rounded, format, bound >> least if least > 0 else bound << -least)
