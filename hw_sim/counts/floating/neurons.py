"""Neurons and leaky integrators."""

from __future__ import annotations

import numpy as np

from ....program.nodes import LIF, AdaptiveLIF, CubaLIF, DrivenLIF, LeakyIntegrator, Neurons, Node
from ....program.nodes.resets import SUBTRACTING
from ..edges import Edges
from ..records import Tally
from .rule import FloatRule, op, update_states


def lif(node: LIF, edges: Edges, tally: Tally) -> None:
    """W x + V z + bias; two products for the potential, with constants of each neuron."""
    _integrate(node, edges, tally)
    update_states(node, len(edges.output(node)), numbers(node), tally)


def cuba_lif(node: CubaLIF, edges: Edges, tally: Tally) -> None:
    """As ``lif``, and a product and a sum for the synaptic current."""
    count = edges.output(node).size
    _integrate(node, edges, tally)
    op(tally, "multiply", "synapse", count)
    op(tally, "add", "synapse", count)
    update_states(node, len(edges.output(node)), numbers(node), tally)


def adaptive_lif(node: AdaptiveLIF, edges: Edges, tally: Tally) -> None:
    """As ``lif``, less the adaptation, which takes three products."""
    count = edges.output(node).size
    _integrate(node, edges, tally)
    op(tally, "add", "potential", count)
    op(tally, "multiply", "adaptation", 3 * count)
    op(tally, "add", "adaptation", 2 * count)
    update_states(node, len(edges.output(node)), numbers(node), tally)


def driven_lif(node: DrivenLIF, edges: Edges, tally: Tally) -> None:
    """A product for what is kept of the potential; the current, threshold and reset."""
    count = edges.output(node).size
    op(tally, "multiply", "potential", count)
    op(tally, "add", "potential", count)
    op(tally, "compare", "threshold", count)
    op(tally, "reset", "potential", count)
    update_states(node, len(edges.output(node)), driven_numbers(node), tally)


def driven_numbers(node: DrivenLIF) -> int:
    """What is kept, and thresholds: a single one where all agree."""
    kept = {tensor.name: tensor.codes.size for tensor in node.tensors()}
    return kept["alpha"] + kept["threshold"]


def leaky_integrator(node: LeakyIntegrator, edges: Edges, tally: Tally) -> None:
    """W absorbs 1 - decay, as in the program."""
    runs, count = len(edges.output(node)), edges.output(node).size
    op(tally, "mac", "W", runs * node.weight.size)
    op(tally, "add", "bias", runs * int(np.count_nonzero(node.bias)))
    op(tally, "multiply", "decay", count)
    op(tally, "add", "potential", count)
    update_states(node, runs, integrator_numbers(node), tally)


def numbers(node: Neurons) -> int:
    """Weights, biases that are not zero, constants, and thresholds: a single one where all agree."""
    kept = {tensor.name: tensor.codes.size for tensor in node.tensors()}
    weights = node.input.size + node.recurrent.size + int(np.count_nonzero(node.bias))
    return weights + (len(node.constants) - (not node.rises)) * node.neurons + kept["threshold"]


def integrator_numbers(node: LeakyIntegrator) -> int:
    """Weights, biases that are not zero, and decays."""
    return node.weight.size + int(np.count_nonzero(node.bias)) + node.decay.size


def _integrate(node: Neurons, edges: Edges, tally: Tally) -> None:
    runs, count = len(edges.output(node)), edges.output(node).size
    op(tally, "mac", "W", runs * node.input.size)
    op(tally, "mac", "V", runs * node.recurrent.size)
    op(tally, "add", "bias", runs * int(np.count_nonzero(node.bias)))
    op(tally, "multiply", "potential", (1 + node.rises) * count)
    op(tally, "add", "potential", count)
    op(tally, "compare", "threshold", count)
    op(tally, "add" if node.reset in SUBTRACTING else "reset", "potential", count)
    if node.refractory:
        op(tally, "compare", "refractory", count)
        op(tally, "add", "refractory", count)


RULES: dict[type[Node], FloatRule] = {
    LIF: FloatRule(lif, numbers),
    AdaptiveLIF: FloatRule(adaptive_lif, numbers),
    CubaLIF: FloatRule(cuba_lif, numbers),
    DrivenLIF: FloatRule(driven_lif, driven_numbers),
    LeakyIntegrator: FloatRule(leaky_integrator, integrator_numbers),
}
