"""Loihi's own neurons, once a time step."""

from __future__ import annotations

import numpy as np

from ....program.bounds import register, register_bits
from ....program.nodes import LoihiLIF, Node
from ....program.nodes.loihi import DECAY_BITS, STATE_BITS
from ..edges import Edges, NodeCounter
from ..records import Tally
from .neurons import before, stale, update_states
from .stateless import matrix_products


def loihi_lif(node: LoihiLIF, edges: Edges, tally: Tally) -> None:
    """Synapses, and two states that lose a share each step, truncated; the node is run again to check the trace."""
    x, z, states = edges.inputs(node)[0], edges.output(node), edges.states(node)
    expected, replayed = edges.replay(node)
    if not (np.array_equal(expected, z) and np.array_equal(replayed, states)):
        raise stale(node)
    u, v = np.split(before(states), 2, axis=1)
    result, width = register_bits(register(node.bounds()["the current"])), STATE_BITS
    matrix_products(tally, "W", node.weight, (node.weight_bits, node.format.width), result, x)
    if node.is_recurrent:
        matrix_products(tally, "V", node.recurrent, (node.weight_bits, node.output.width), result, before(z))
        tally.add("add", "synapses", (result, result), result, z.size)
    kept = (1 << DECAY_BITS) - 1 - node.each("du"), (1 << DECAY_BITS) - node.each("dv")
    for name, state, share in zip("uv", (u, v), kept, strict=True):
        tally.add("multiply", f"decay of {name}", (DECAY_BITS, width), 64, z.size, np.count_nonzero(state * share))
        tally.add("add", name, (result, result), width, z.size)
    tally.add("add", "bias", (result, result), result, z.size, len(z) * np.count_nonzero(node.bias))
    tally.add("compare", "threshold", (width, width), node.output.width, z.size)
    tally.add("reset", "v", (width, 0), width, z.size, np.count_nonzero(z))
    update_states(node, z, tally)


COUNTERS: dict[type[Node], NodeCounter] = {LoihiLIF: loihi_lif}
