"""Loihi's own neurons."""

from __future__ import annotations

import numpy as np

from ....program.nodes import LoihiLIF, Node
from ....program.nodes.loihi import LIMITS
from ..edges import Edges
from ..records import Tally
from .rule import FloatRule, op, update_states


def loihi_lif(node: LoihiLIF, edges: Edges, tally: Tally) -> None:
    """Two decaying states."""
    runs, count = len(edges.output(node)), edges.output(node).size
    op(tally, "mac", "W", runs * node.weight.size)
    op(tally, "mac", "V", runs * node.recurrent.size)
    op(tally, "add", "bias", runs * int(np.count_nonzero(node.bias)))
    op(tally, "multiply", "decay", 2 * count)
    op(tally, "add", "states", 2 * count)
    op(tally, "compare", "threshold", count)
    op(tally, "reset", "v", count)
    update_states(node, runs, numbers(node), tally)


def numbers(node: LoihiLIF) -> int:
    """Weights, biases that are not zero, two decays and a threshold, of the layer or of each neuron."""
    shared = sum(len(np.unique(node.each(what))) == 1 for what in LIMITS)
    dynamics = shared + (len(LIMITS) - shared) * node.neurons
    return node.weight.size + node.recurrent.size + int(np.count_nonzero(node.bias)) + dynamics


RULES: dict[type[Node], FloatRule] = {LoihiLIF: FloatRule(loihi_lif, numbers)}
