"""Layers of neurons and their read-out over whole samples: one Scan, in which all layers take a step at once.

Layer l is l steps behind the first, so that what it reads is what the layer before it did in the step before: the
spikes of all layers are one vector, the weights of all layers one matrix, and what a step takes does not grow with the
layers. Until its first step a layer stays at zero: it has no drive, and its threshold is out of reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .....program import Program
from .....program.nodes import LIF, AdaptiveLIF, LeakyIntegrator, Neurons
from .....program.nodes.neurons import ORDERS
from .....program.nodes.resets import SUBTRACTING, ZERO, is_late
from ...graph import Graph
from ..arithmetic import DOUBLE, matmul
from .event import WholeEvents

NEVER = 2.0**60
"""A threshold that no potential reaches."""

DENSE = 128
"""Neurons of all layers up to which one float64 matrix is faster than a product a layer."""


@dataclass(frozen=True)
class Chain:
    """Layers of one kind, each of which reads the one before, and the integrators that read the last."""

    layers: tuple[Any, ...]
    readout: LeakyIntegrator

    @property
    def sizes(self) -> list[int]:
        return [*(node.neurons for node in self.layers), self.readout.channels]

    @property
    def delay(self) -> int:
        """Steps by which the read-out is behind the first layer."""
        return len(self.layers)


def chain_of(program: Program) -> Chain | None:
    """The chain of a program's neurons, if they are one that can be written so."""
    layers, readouts = program.of_type(Neurons), program.of_type(LeakyIntegrator)
    if not layers or len(readouts) != 1 or program.rates[layers[0].name] != 1:
        return None
    chain, first = Chain(layers, readouts[0]), layers[0]
    same = all(_kind(node) == _kind(first) for node in layers)
    joined = all(after.inputs == (node.name,) for node, after in zip(layers, (*layers[1:], readouts[0]), strict=True))
    names = {node.name for node in layers}
    alone = sum(bool(names & set(node.inputs)) for node in program) == len(layers)
    known = type(first) in (LIF, AdaptiveLIF) and not any(node.refractory for node in layers)
    widths = {node.potential.width for node in layers} | {chain.readout.output.width}
    return chain if same and joined and alone and known and len(widths) == 1 else None


def write_chain(event: WholeEvents, chain: Chain, value: str) -> str:
    """The potentials of the read-out after every step, as rows."""
    graph = event.graph
    drive = _drive(event, chain, value)
    body = graph.child("step")
    size, names = sum(chain.sizes), ("u", "w", "z")[:: 1 if _adapts(chain) else 2]
    states = {name: body.input(name, DOUBLE, ["batch", size]) for name in names}
    scanned, arriving = [drive], body.input("drive", DOUBLE, ["batch", size])
    threshold = body.constant(_thresholds(chain), DOUBLE)
    if any(node.threshold.min() < 0 for node in chain.layers[1:]):  # these would fire before their time
        threshold = body.input("threshold", DOUBLE, [1, size])
        scanned.append(_over_time(event, chain, _thresholds(chain), NEVER))
    new = _step(body, chain, arriving, threshold, states)
    for name in names:
        body.output(new[name], f"{name}_out", ["batch", size])
    body.output(new["u"], "potentials", ["batch", size])
    zeros = event.zeros(size)
    outputs = [graph.fresh(name) for name in (*names, "potentials")]
    graph.ops(
        "Scan",
        *[zeros] * len(names),
        *scanned,
        outputs=outputs,
        dtypes=[DOUBLE] * len(outputs),
        body=body.build(),
        num_scan_inputs=len(scanned),
    )
    ends = (chain.delay, np.iinfo(np.int64).max, 0), (size - chain.readout.channels, size, 2)
    starts, stops, axes = (graph.constant(values, np.int64) for values in zip(*ends, strict=True))
    found = graph.op("Slice", outputs[-1], starts, stops, axes, dtype=DOUBLE)
    event.series = found
    return graph.op("Reshape", found, graph.constant([-1, chain.readout.channels], np.int64), dtype=DOUBLE)


def _kind(node: Neurons) -> tuple[object, ...]:
    second = node.second
    return type(node), node.kind, node.reset, None if second is None else second.width


def _adapts(chain: Chain) -> bool:
    return chain.layers[0].kind in ORDERS


def _drive(event: WholeEvents, chain: Chain, value: str) -> str:
    """What a step adds to its product, (T + delay, B, N): W x of the first layer, biases, and the half of rounding."""
    graph, first, sizes = event.graph, chain.layers[0], chain.sizes
    exponent = first.input_shift - first.current_shift
    product = event.apart(matmul(graph, value, first.format, first.input, exponent), first.neurons)
    fixed = np.concatenate([_constant(node.bias, node.current_shift) for node in chain.layers])
    fixed = np.concatenate([fixed, chain.readout.bias.astype(np.float64)])
    pads = graph.constant([0, 0, 0, chain.delay, 0, sum(sizes[1:])], np.int64)
    fed = graph.op("Pad", product, pads, dtype=DOUBLE)
    return graph.op("Add", fed, _over_time(event, chain, fixed, 0.0))


def _over_time(event: WholeEvents, chain: Chain, values: np.ndarray, before: float) -> str:
    """``values`` (N,) at every step, (T + delay, 1, N); ``before`` the first one of a layer another number."""
    graph = event.graph
    early = np.tile(values.astype(np.float64), (chain.delay, 1, 1))
    for step in range(chain.delay):
        early[step, 0, sum(chain.sizes[: step + 1]) :] = before
    nothing = graph.op("Mul", graph.cast(event.steps(event.places), DOUBLE), graph.constant(0, DOUBLE))
    later = graph.op("Unsqueeze", nothing, event.number(2), dtype=DOUBLE)
    later = graph.op("Add", later, graph.constant(values, DOUBLE))
    return graph.op("Concat", graph.constant(early, DOUBLE), later, axis=0)


def _thresholds(chain: Chain) -> np.ndarray:
    return np.concatenate([*(node.threshold for node in chain.layers), np.full(chain.readout.channels, NEVER)])


def _constant(bias: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Bias and half, in units of the current."""
    right = right.astype(np.int64)
    return np.ldexp(bias.astype(np.float64), -right) + np.where(right > 0, 0.5, 0.0)


def _step(graph: Graph, chain: Chain, arriving: str, threshold: str, states: dict[str, str]) -> dict[str, str]:
    """One step of all layers. The read-out is a neuron that never fires, whose current is its exact sum."""
    u, z = states["u"], states["z"]
    form, silent = chain.layers[0].potential, chain.readout.channels
    current = graph.op("Floor", graph.op("Add", _product(graph, chain, z), arriving))
    kept = [np.ldexp(node.alpha.astype(np.float64), _potential(node)[0]) for node in chain.layers]
    risen = [np.ldexp(node.rise.astype(np.float64), _potential(node)[1]) for node in chain.layers]
    o = chain.readout
    kept.append(np.ldexp(o.decay.astype(np.float64), o.decay_shift - o.output_shift))
    risen.append(np.ldexp(np.ones(silent), -o.output_shift))
    halves = [np.full(node.neurons, 0.5 * (node.potential_shifts[2] > 0)) for node in chain.layers]
    halves.append(np.where(o.output_shift > 0, 0.5, 0.0))
    total = graph.op("Add", _times(graph, u, kept), _times(graph, current, risen))
    if "w" in states:
        lost = [-np.ldexp(node.rise.astype(np.float64), _potential(node)[2]) for node in chain.layers]
        total = graph.op("Add", total, _times(graph, states["w"], [*lost, np.zeros(silent)]))
    reset = chain.layers[0].reset
    spiked = graph.cast(graph.op("Greater", u, threshold), DOUBLE) if is_late(reset) else ""
    limits = graph.constant(form.min, DOUBLE), graph.constant(form.max, DOUBLE)
    if spiked and reset in SUBTRACTING:
        total = graph.op("Sub", total, graph.op("Mul", spiked, threshold))
    reached = graph.op("Clip", graph.op("Floor", graph.op("Add", total, _row(graph, halves))), *limits)
    if spiked and reset not in SUBTRACTING:
        reached = graph.op("Sub", reached, graph.op("Mul", reached, spiked))
    spikes, rest = graph.cast(graph.op("Greater", reached, threshold), DOUBLE), reached
    if not spiked:
        rest = graph.op("Sub", reached, graph.op("Mul", spikes, reached if reset == ZERO else threshold))
    new = {"u": rest, "z": spikes}
    if "w" in states:
        seen = (rest, spikes) if chain.layers[0].kind == "se" else (u, z)
        new["w"] = _adapt(graph, chain, states["w"], *seen)
    return new


def _adapt(graph: Graph, chain: Chain, w: str, u: str, z: str) -> str:
    silent = np.zeros(chain.readout.channels)
    parts: list[list[np.ndarray]] = [[], [], [], []]
    for node in chain.layers:
        *shifts, right = node.adaptation_shifts
        for part, codes, shift in zip(parts, (node.beta, node.coupling, node.jump), shifts, strict=False):
            part.append(np.ldexp(codes.astype(np.float64), shift - right))
        parts[3].append(np.full(node.neurons, 0.5 * (right > 0)))
    for part in parts:
        part.append(silent)
    total = _times(graph, w, parts[0])
    for tensor, part in zip((u, z), parts[1:3], strict=True):
        total = graph.op("Add", total, _times(graph, tensor, part))
    form = chain.layers[0].adaptation
    limits = graph.constant(form.min, DOUBLE), graph.constant(form.max, DOUBLE)
    return graph.op("Clip", graph.op("Floor", graph.op("Add", total, _row(graph, parts[3]))), *limits)


def _potential(node: Any) -> tuple[int, int, int]:
    """Exponents of alpha, of rise on the current, and of rise on the adaptation, in units of u."""
    decayed, driven, right = node.potential_shifts
    own, adapted = node.drive_shifts if node.second is not None else (0, 0)
    return decayed - right, driven + own - right, driven + adapted - right


def _times(graph: Graph, tensor: str, parts: Sequence[np.ndarray]) -> str:
    return graph.op("Mul", tensor, _row(graph, parts))


def _row(graph: Graph, parts: Sequence[np.ndarray]) -> str:
    values = np.concatenate([*parts])
    return graph.constant(values[0] if (values == values[0]).all() else values, DOUBLE)


def _blocks(chain: Chain) -> list[tuple[int, int, np.ndarray, np.ndarray]]:
    """(from, to, weights, exponents of rows) of every product of spikes."""
    found = []
    for place, node in enumerate(chain.layers):
        if node.is_recurrent:
            found.append((place, place, node.recurrent, node.recurrent_shift - node.current_shift))
        if place:
            found.append((place - 1, place, node.input, node.input_shift - node.current_shift))
    o = chain.readout
    return [*found, (chain.delay - 1, chain.delay, o.weight, o.weight_shift)]


def _product(graph: Graph, chain: Chain, z: str) -> str:
    """Currents (B, N) that the spikes of the step before make."""
    sizes = chain.sizes
    ends = np.cumsum([0, *sizes])
    if ends[-1] <= DENSE:
        matrix = np.zeros((ends[-1], ends[-1]))
        for source, to, weight, exponent in _blocks(chain):
            rows, columns = slice(ends[to], ends[to + 1]), slice(ends[source], ends[source + 1])
            matrix[rows, columns] = np.ldexp(weight.astype(np.float64), exponent.astype(np.int64)[:, None])
        return graph.op("MatMul", z, graph.constant(matrix.T, DOUBLE))
    codes = graph.cast(z, np.uint8)
    parts = [graph.fresh("z") for _ in sizes]
    graph.ops("Split", codes, graph.constant(sizes, np.int64), outputs=parts, dtypes=[np.uint8] * len(parts), axis=1)
    total = ""
    for source, part in enumerate(parts[:-1]):
        own = [block for block in _blocks(chain) if block[0] == source]
        weight = np.concatenate([block[2] for block in own])
        exponent = np.concatenate([block[3].astype(np.int64) for block in own])
        found = matmul(graph, part, chain.layers[0].output, weight, exponent)
        edges = ends[own[0][1]], ends[-1] - ends[own[-1][1] + 1]
        pads = graph.constant([0, edges[0], 0, edges[1]], np.int64)
        found = graph.op("Pad", found, pads, dtype=DOUBLE) if any(edges) else found
        total = graph.op("Add", total, found) if total else found
    return total
