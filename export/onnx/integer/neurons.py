"""Layers of spiking neurons, and the leaky integrators that read them out."""

from __future__ import annotations

import numpy as np

from ....program.bounds import register
from ....program.formats import Format
from ....program.nodes import AdaptiveLIF, LeakyIntegrator, Neurons
from ..arithmetic import accumulator_dtype, matmul, saturate, shift_half_up, shift_left
from ..event import EventGraph, State

_CODES, SPIKES = np.dtype(np.int32), np.dtype(np.uint8)
"""Element types of potentials and adaptations, and of spikes, which matrix products take as they are."""


def write_neurons(event: EventGraph, node: Neurons) -> str:
    """One time step: potential, spikes, reset and, of adaptive neurons, adaptation. States: u, w, and z where read."""
    graph, rate = event.graph, event.program.rates[node.name]
    (x,) = event.inputs_of(node)
    shape, adaptive = (node.neurons,), isinstance(node, AdaptiveLIF)
    u = event.open(State(f"{node.name}/u", shape, _CODES))
    w = event.open(State(f"{node.name}/w", shape, _CODES)) if adaptive else None
    remembers = node.is_recurrent or (adaptive and node.order == "ef")
    z = event.open(State(f"{node.name}/z", shape, SPIKES)) if remembers else None

    reached = _integrate(event, node, u, w, _current(event, node, x, z))
    compared = graph.cast(reached, np.int64) if node.threshold.min() < np.iinfo(_CODES).min else reached
    spiked = graph.op("Greater", compared, graph.like(node.threshold, compared))
    rest = graph.op("Where", spiked, graph.like(0, reached), reached)
    spikes = graph.cast(spiked, SPIKES)
    event.keep_unless_valid(f"{node.name}/u", rest, rate)
    if adaptive:
        seen = (rest, spiked) if node.order == "se" else (u, graph.cast(z, bool))
        event.keep_unless_valid(f"{node.name}/w", _adapt(event, node, w, *seen), rate)
    if remembers:
        event.keep_unless_valid(f"{node.name}/z", spikes, rate)
    return spikes


def write_leaky_integrator(event: EventGraph, node: LeakyIntegrator) -> str:
    """One time step of the potentials; an event that is not valid gives those of the step before."""
    graph = event.graph
    bound = node.bounds()["the potential"]
    dtype = accumulator_dtype(register(bound))
    (x,) = event.inputs_of(node)
    old = event.open(State(node.name, (node.channels,), _CODES))
    kept = _times(event, old, node.decay, node.decay_shift, dtype)
    driven = shift_left(graph, matmul(graph, x, node.format, node.weight, dtype), node.weight_shift)
    new = _store(event, graph.op("Add", kept, driven), node.output_shift, node.output, bound, node.bias)
    return event.keep_unless_valid(node.name, new, event.program.rates[node.name])


def _current(event: EventGraph, node: Neurons, x: str, z: str | None) -> str:
    """``I = rhu(W x + V z + bias)``."""
    graph = event.graph
    dtype = accumulator_dtype(register(node.bounds()["the current"]))
    total = shift_left(graph, matmul(graph, x, node.format, node.input, dtype), node.input_shift)
    if node.is_recurrent:
        fed_back = matmul(graph, z, node.output, node.recurrent, dtype)
        total = graph.op("Add", total, shift_left(graph, fed_back, node.recurrent_shift))
    return shift_half_up(graph, total, node.current_shift, node.bias)


def _integrate(event: EventGraph, node: Neurons, u: str, w: str | None, drive: str) -> str:
    """``sat(rhu(alpha u + rise (I - w)))``."""
    graph = event.graph
    bound = node.bounds()["the potential"]
    dtype = accumulator_dtype(register(bound))
    drive = graph.cast(drive, dtype)
    if w is not None:
        own, adapted = node.drive_shifts
        drive = graph.op("Sub", shift_left(graph, drive, own), shift_left(graph, graph.cast(w, dtype), adapted))
    decayed, driven, right = node.potential_shifts
    kept = _times(event, u, node.alpha, decayed, dtype)
    total = graph.op("Add", kept, _times(event, drive, node.rise, driven, dtype))
    return _store(event, total, right, node.potential, bound)


def _adapt(event: EventGraph, node: AdaptiveLIF, w: str, u: str, spiked: str) -> str:
    """``sat(rhu(beta w + coupling u + jump z))``."""
    graph = event.graph
    bound = node.bounds()["the adaptation"]
    dtype = accumulator_dtype(register(bound))
    kept, coupled, jumped, right = node.adaptation_shifts
    jump = graph.constant(np.left_shift(node.jump.astype(np.int64), jumped), dtype)
    total = graph.op("Add", _times(event, w, node.beta, kept, dtype), _times(event, u, node.coupling, coupled, dtype))
    total = graph.op("Add", total, graph.op("Where", spiked, jump, graph.like(0, jump)))
    return _store(event, total, right, node.adaptation, bound)


def _times(event: EventGraph, tensor: str, constant: np.ndarray, shift: int | np.ndarray, dtype: np.dtype) -> str:
    """``constant * tensor * 2**shift`` in ``dtype``."""
    graph = event.graph
    factor = graph.constant(np.left_shift(constant.astype(np.int64), shift), dtype)
    return graph.op("Mul", graph.cast(tensor, dtype), factor)


def _store(
    event: EventGraph, total: str, shift: int | np.ndarray, format: Format, bound: int, bias: int | np.ndarray = 0
) -> str:
    """``sat(rhu((total + bias) / 2**shift))``; ``bound`` is that of the sum with its rounding term."""
    least = int(np.min(shift))
    rounded = shift_half_up(event.graph, total, shift, bias)
    return saturate(event.graph, rounded, format, bound >> least if least > 0 else bound << -least)
