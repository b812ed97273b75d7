"""Planning of Loihi's neurons, laid out as those of neurons.py; bodies in the order of operations/loihi.py."""

from __future__ import annotations

import numpy as np

from ....program.nodes import SPIKES, LoihiLIF, Node
from ....program.nodes.loihi import ALIGNMENT, DECAY_BITS, STATE_LIMIT, WEIGHT_LIMIT
from .. import opcodes as o
from ..arenas import fits_16
from ..vectors.plain import LANES
from .neurons import by_input, group, padded, put_padded, weights_in
from .planner import NodePlanner, Planner, arena_for

UNITY = 1 << DECAY_BITS
WEIGHT_BITS = WEIGHT_LIMIT.bit_length() + 1


def plan_loihi(planner: Planner, node: LoihiLIF) -> None:
    """One record for a layer: states and their arithmetic are int64, spikes and weights int16 where they fit."""
    wide = not fits_16(node.format)
    values, accs, a64, size = planner.values(wide), planner.accs(wide), planner.a64, padded(node.neurons)
    arena, weights = arena_for(wide), weights_in(wide, WEIGHT_BITS)
    source = planner.edge(node.inputs[0], arena)
    places = planner.a32.reserve(max(source.channels, node.neurons) + LANES)
    body = [size, places, node.format == SPIKES, group(wide, WEIGHT_BITS)]
    body += [by_input(planner, weights, node.weight, size), accs.reserve(size), node.is_recurrent]
    body += [by_input(planner, weights, node.recurrent, size), accs.reserve(size), node.weight_exponent]
    z, u, v = (planner.reserve_state(arena, size) for arena in (values, a64, a64))
    body += [z, u, v, put_padded(a64, node.bias.astype(np.int64) << ALIGNMENT, size)]
    kept = UNITY - 1 - node.each("du"), UNITY - node.each("dv")
    body += [put_padded(a64, codes, size) for codes in (*kept, node.each("vth") << ALIGNMENT)]
    body += [STATE_LIMIT, DECAY_BITS, ALIGNMENT]
    out = planner.place(node, arena)
    body.append(planner.trace_states(node))
    planner.emit(o.LOIHI, node, wide, source, out, body, arenas=(arena, weights, accs.number))
    planner.name_states(node, a64, node.neurons, u, v)


FUNCTIONS: dict[type[Node], NodePlanner] = {LoihiLIF: plan_loihi}
