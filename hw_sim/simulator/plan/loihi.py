"""Planning of Loihi's neurons; a method of the planner in plan.py, laid out as the neurons of plan_neurons.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....program.nodes import SPIKES, LoihiLIF
from ....program.nodes.loihi import ALIGNMENT, DECAY_BITS, STATE_LIMIT
from .. import opcodes as o
from ..arenas import A16, A64, Place, fits_16
from ..kernels.plain import GROUP
from .neurons import by_input, pad, padded

if TYPE_CHECKING:
    from .planner import Planner

UNITY = 1 << DECAY_BITS


def plan_loihi(self: Planner, node: LoihiLIF) -> None:
    """One record for a layer: states and their arithmetic are int64, spikes and weights int16 where they fit."""
    wide = not fits_16(node.format)
    values, accs, size = self._values(wide), self._accs(wide), padded(node.neurons)
    source = self._source(node, wide)
    body = [size, self.a32.reserve(max(source[2], node.neurons) + GROUP), node.format == SPIKES]
    body += [by_input(values, node.weight, size), accs.reserve(size)]
    body += [node.is_recurrent, by_input(values, node.recurrent, size), accs.reserve(size), node.weight_exponent]
    z = self._changing(values, A64 if wide else A16, size)
    states = [self._changing(self.a64, A64, size) for _ in range(2)]
    body += [z, *states, self.a64.put(pad(node.bias, size) << ALIGNMENT)]
    body += [UNITY - 1 - node.du, UNITY - node.dv, node.vth << ALIGNMENT, STATE_LIMIT, DECAY_BITS, ALIGNMENT]
    self.plan.registers[node.name] = tuple(Place(A64, state, node.neurons, 0) for state in states)
    place = self._place(node, wide)
    self._emit(o.LOIHI, node, o.IS_WIDE if wide else o.IS_NARROW, place, source, [*body, self._traced(node)])
