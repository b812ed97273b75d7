"""Neurons and leaky integrators, once a time step."""

from __future__ import annotations

import numpy as np

from ....program import ProgramError
from ....program.arithmetic import saturate
from ....program.bounds import register, register_bits
from ....program.nodes import LIF, AdaptiveLIF, CubaLIF, DrivenLIF, LeakyIntegrator, Neurons, Node
from ....program.nodes.resets import SUBTRACTING, is_late
from ....program.reference.neurons import (
    adaptation,
    adapted_drive,
    before_store,
    counted,
    current,
    driven_potential,
    fired,
    potential,
    synapse,
)
from ..edges import Edges, NodeCounter
from ..records import Tally
from .stateless import matrix_products, read_fixed


def lif(node: LIF, edges: Edges, tally: Tally) -> None:
    """Synapses, potential, threshold and reset; the state is replayed to see the zeros."""
    x, z, u = edges.inputs(node)[0], edges.output(node), edges.states(node)
    drive, c = current(node, x, before(z)), held_for(node, z)
    _synapses(node, x, z, tally)
    _potential(node, before(u), drive, z, c, tally)
    update_states(node, z, tally)
    _require_same(node, u, z, *fired(node, _integrated(node, before(u), drive, c), c))


def cuba_lif(node: CubaLIF, edges: Edges, tally: Tally) -> None:
    """As ``lif``, of the synaptic current, which decays and takes what arrives."""
    x, z, states = edges.inputs(node)[0], edges.output(node), edges.states(node)
    u, i = states[:, : node.neurons], states[:, node.neurons :]
    arriving, c = current(node, x, before(z)), held_for(node, z)
    _synapses(node, x, z, tally)
    result, width = register_bits(register(node.bounds()["the synapse"])), node.synapse.width
    tally.add("multiply", "beta", (node.constant_width, width), result, z.size, np.count_nonzero(before(i) * node.beta))
    tally.add("add", "synapse", (result, result), result, z.size)
    tally.add("round", "synapse", (result, 0), width, z.size * (node.synapse_shifts[-1] > 0))
    _potential(node, before(u), i, z, c, tally)
    update_states(node, z, tally)
    _require_same(node, u, z, *fired(node, _integrated(node, before(u), i, c), c))
    if not np.array_equal(i, saturate(synapse(node, before(i), arriving), node.synapse)[0]):
        raise stale(node)


def adaptive_lif(node: AdaptiveLIF, edges: Edges, tally: Tally) -> None:
    """As ``lif``; and the adaptation, whose jumps are additions at spikes."""
    x, z, states = edges.inputs(node)[0], edges.output(node), edges.states(node)
    u, w = states[:, : node.neurons], states[:, node.neurons :]
    c = held_for(node, z)
    drive = adapted_drive(node, current(node, x, before(z)), before(w))
    _synapses(node, x, z, tally)
    result = register_bits(register(node.bounds()["the drive"]))
    tally.add("add", "difference", (result, result), result, z.size)
    _potential(node, before(u), drive, z, c, tally)
    seen = (u, z) if node.order == "se" else (before(u), before(z))
    _adaptation(node, before(w), *seen, tally)
    update_states(node, z, tally)
    _require_same(node, u, z, *fired(node, _integrated(node, before(u), drive, c), c))
    if not np.array_equal(w, saturate(adaptation(node, before(w), *seen), node.adaptation)[0]):
        raise stale(node)


def driven_lif(node: DrivenLIF, edges: Edges, tally: Tally) -> None:
    """What is kept of the potential, where that is no power of two a product; the current, threshold and reset."""
    arriving, z, u = edges.inputs(node)[0], edges.output(node), edges.states(node)
    width, bounds = node.potential.width, node.bounds()
    kept, total = (register_bits(register(bounds[what])) for what in ("the decay", "the potential"))
    products = (node.alpha & (node.alpha - 1)) != 0
    count = len(z) * np.count_nonzero(products)
    tally.add("multiply", "alpha", (node.constant_width, width), kept, count, np.count_nonzero(before(u) * products))
    tally.add("round", "alpha", (kept, 0), width, z.size * (node.alpha_frac > 0))
    tally.add("add", "potential", (total, total), total, z.size)
    tally.add("compare", "threshold", (width, width), node.output.width, z.size)
    tally.add("reset", "potential", (width, 0), width, z.size, np.count_nonzero(z))
    update_states(node, z, tally)
    raised = saturate(driven_potential(node, before(u), arriving), node.potential)[0]
    spikes = raised > node.threshold
    _require_same(node, u, z, np.where(spikes, 0, raised), spikes)


def leaky_integrator(node: LeakyIntegrator, edges: Edges, tally: Tally) -> None:
    """``o = sat(rhu(decay o' + W x + bias))``."""
    x, o = edges.inputs(node)[0], edges.output(node)
    result, width = register_bits(node.register), node.output.width
    matrix_products(tally, "W", node.weight, (node.weight_width, node.format.width), result, x)
    tally.add("add", "bias", (result, result), result, o.size, len(o) * np.count_nonzero(node.bias))
    tally.add("multiply", "decay", (node.decay_width, width), result, o.size, np.count_nonzero(before(o) * node.decay))
    tally.add("add", "potential", (result, result), result, o.size)
    tally.add("round", "potential", (result, 0), width, len(o) * np.count_nonzero(node.output_shift > 0))
    update_states(node, o, tally)


def before(rows: np.ndarray) -> np.ndarray:
    """The rows (T, C) of the step before each step: zeros, then all but the last."""
    return np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])


def held_for(node: Neurons, z: np.ndarray) -> np.ndarray:
    """c' (T, H), the refractory steps that are left before each step, from the spikes z (T, H)."""
    waits = np.zeros_like(z)
    for t in range(1, len(z) if node.refractory else 0):
        waits[t] = counted(node, waits[t - 1], z[t - 1])
    return waits


def _synapses(node: Neurons, x: np.ndarray, z: np.ndarray, tally: Tally) -> None:
    result = register_bits(register(node.bounds()["the current"]))
    matrix_products(tally, "W", node.input, (node.input_width, node.format.width), result, x)
    if node.is_recurrent:
        matrix_products(tally, "V", node.recurrent, (node.recurrent_width, node.output.width), result, before(z))
    tally.add("add", "bias", (result, result), result, z.size, len(z) * np.count_nonzero(node.bias))
    tally.add("round", "current", (result, 0), result, len(z) * np.count_nonzero(node.current_shift > 0))


def _potential(node: Neurons, u: np.ndarray, drive: np.ndarray, z: np.ndarray, c: np.ndarray, tally: Tally) -> None:
    """``u^ = sat(rhu(alpha u' + rise drive))``, its comparison with the threshold, and the resets.

    Where c' says that it is held there is none of that; c' is compared, and lowered where it is not 0.
    """
    u, drive = u * (c == 0), drive * (c == 0)
    if node.refractory:
        counter = node.refractory.bit_length()
        tally.add("compare", "refractory", (counter, 0), node.output.width, z.size)
        tally.add("add", "refractory", (counter, counter), counter, z.size, np.count_nonzero(c))
    bounds, width = node.bounds(), node.potential.width
    result, driven = register_bits(register(bounds["the potential"])), bounds["the drive"].bit_length() + 1
    tally.add("multiply", "alpha", (node.constant_width, width), result, z.size, np.count_nonzero(u * node.alpha))
    if node.rises:
        rising = np.count_nonzero(drive * node.rise)
        tally.add("multiply", "rise", (node.constant_width, driven), result, z.size, rising)
    tally.add("add", "potential", (result, result), result, z.size)
    tally.add("round", "potential", (result, 0), width, z.size * (node.potential_shifts[-1] > 0))
    tally.add("compare", "threshold", (width, width), node.output.width, z.size)
    spikes = z
    if is_late(node.reset):  # whether there was a spike is read off the potential of before
        spikes = before(z)
        tally.add("compare", "reset", (width, width), node.output.width, z.size)
    if node.reset in SUBTRACTING:
        tally.add("add", "reset", (width, width), width, z.size, np.count_nonzero(spikes))
    else:
        tally.add("reset", "potential", (width, 0), width, z.size, np.count_nonzero(spikes))


def _adaptation(node: AdaptiveLIF, w: np.ndarray, u: np.ndarray, z: np.ndarray, tally: Tally) -> None:
    """``w = sat(rhu(beta w' + coupling u + jump z))``."""
    result, width = register_bits(register(node.bounds()["the adaptation"])), node.adaptation.width
    constant, seen = node.constant_width, node.potential.width
    tally.add("multiply", "beta", (constant, width), result, z.size, np.count_nonzero(w * node.beta))
    tally.add("multiply", "coupling", (constant, seen), result, z.size, np.count_nonzero(u * node.coupling))
    tally.add("add", "adaptation", (result, result), result, z.size)
    tally.add("add", "jump", (result, result), result, z.size, np.count_nonzero(z * node.jump))
    tally.add("round", "adaptation", (result, 0), width, z.size * (node.adaptation_shifts[-1] > 0))


def update_states(node: Node, output: np.ndarray, tally: Tally) -> None:
    """State and parameters of each neuron, once a step."""
    tally.state_updates += output.size
    bits = len(output) * node.state_bits
    tally.move(state_read=bits, state_written=bits)
    read_fixed(tally, node.whole_bits, len(output))


def _integrated(node: Neurons, u: np.ndarray, drive: np.ndarray, c: np.ndarray) -> np.ndarray:
    return saturate(before_store(node, u, potential(node, u, drive), c), node.potential)[0]


def _require_same(node: Node, u: np.ndarray, z: np.ndarray, rest: np.ndarray, spikes: np.ndarray) -> None:
    """The traced potentials and spikes have to be what follows from the step before them, ``rest`` and ``spikes``."""
    if not (np.array_equal(spikes, z) and np.array_equal(rest, u)):
        raise stale(node)


def stale(node: Node) -> ProgramError:
    """What to raise where the trace's states are not the node's."""
    return ProgramError(f"node {node.name}: the trace's states do not follow from its values; trace the run anew")


COUNTERS: dict[type[Node], NodeCounter] = {
    LIF: lif,
    AdaptiveLIF: adaptive_lif,
    CubaLIF: cuba_lif,
    DrivenLIF: driven_lif,
    LeakyIntegrator: leaky_integrator,
}
