"""Planning of clocked nodes: neurons and leaky integrators; methods of the planner in plan.py.

Matrices are laid out by input, one row of H weights each, so that a spike adds a row; a last row of zeros fills groups
of rows up. Rows are padded to whole vectors with neurons that never spike.

An operation is narrow, int16 values and int32 sums of weights, where formats and bounds allow it, else wide, int64. The
arithmetic of the states is int64 in both: a layer of 360 neurons gains 0.1 us a step with int32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....program.bounds import I32_LIMIT, dot_bound
from ....program.nodes import SPIKES, AdaptiveLIF, LeakyIntegrator, Neurons
from .. import opcodes as o
from ..arenas import A16, A32, A64, Arena, Place, fits_16
from ..kernels.plain import GROUP

if TYPE_CHECKING:
    from .planner import Planner

LANES = 16
"""Rows are padded to a multiple of this."""


def plan_neurons(self: Planner, node: Neurons) -> None:
    """One record for a layer of neurons of any kind."""
    adaptive = isinstance(node, AdaptiveLIF)
    wide = _is_wide(node, node.bounds()["the current"], node.input_width, node.recurrent_width)
    values, accs = self._values(wide), self._accs(wide)
    size = padded(node.neurons)
    source = self._source(node, wide)

    def put(arena: Arena, codes: np.ndarray) -> int:
        return arena.put(pad(codes, size))

    def shift(left: np.ndarray) -> int:
        return put(accs, np.clip(left, 0, 62 if wide else 30))  # below 0 where there is no V to shift

    def shifts(*lefts: int, right: int) -> int:
        return self.a64.put(np.array([*(min(left, 62) for left in lefts), 1 << right >> 1, right]))

    weights = [size, self.a32.reserve(max(source[2], node.neurons) + GROUP), node.format == SPIKES]
    weights += [by_input(values, node.input, size), shift(node.input_shift), accs.reserve(size)]
    weights += [node.is_recurrent, by_input(values, node.recurrent, size), shift(node.recurrent_shift)]
    weights += [accs.reserve(size), put(accs, node.bias)]
    weights += [put(accs, part) for part in self._shifts(node.current_shift, wide)]

    z = self._changing(values, A64 if wide else A16, size)
    states = [self._changing(self.a32, A32, size) for _ in range(2 if adaptive else 1)]
    *lefts, right = node.potential_shifts
    lefts = [*node.drive_shifts, *lefts] if adaptive else lefts
    membrane = [z, states[0], node.potential.min, node.potential.max, put(self.a32, node.alpha)]
    membrane += [put(self.a32, node.rise), put(self.a64, node.threshold), shifts(*lefts, right=right)]

    kind, adaptation = o.IS_LIF, [0] * 7
    if adaptive:
        kind = o.IS_SE if node.order == "se" else o.IS_EF
        *lefts, right = node.adaptation_shifts
        adaptation = [states[1], node.adaptation.min, node.adaptation.max, put(self.a32, node.beta)]
        adaptation += [put(self.a32, node.coupling), put(self.a32, node.jump), shifts(*lefts, right=right)]
    self.plan.registers[node.name] = tuple(Place(A32, state, node.neurons, 0) for state in states)
    place = self._place(node, wide)
    body = [*weights, kind, *membrane, *adaptation, self._traced(node)]
    self._emit(o.NEURONS, node, wide, place, source, body)


def plan_integrators(self: Planner, node: LeakyIntegrator) -> None:
    """One record for leaky integrators; their potentials are wide."""
    wide = _is_wide(node, int(max(dot_bound(node.weight, node.format.magnitude))), node.weight_width)
    values, accs = self._values(wide), self._accs(wide)
    size = padded(node.channels)
    source = self._source(node, wide)

    def put(codes: np.ndarray) -> int:
        return self.a64.put(pad(codes, size))

    def shift(left: np.ndarray) -> int:
        return put(np.minimum(left, 62))

    body = [size, self.a32.reserve(source[2] + GROUP), node.format == SPIKES]
    body += [by_input(values, node.weight, size), shift(node.weight_shift), accs.reserve(size), put(node.bias)]
    body += [put(part) for part in self._shifts(node.output_shift, True)]
    body += [self._changing(self.a32, A32, size), self.a32.put(pad(node.decay, size)), shift(node.decay_shift)]
    self._emit(o.INTEGRATE, node, wide, self._place(node, True), source, body)


def _is_wide(node: Neurons | LeakyIntegrator, sums: int, *widths: int) -> bool:
    """Whether the inputs, a group of weights (int16) or the sums of weights (int32) need more."""
    return sums >= I32_LIMIT or not fits_16(node.format) or GROUP << (max(widths) - 1) > 1 << 15


def padded(size: int) -> int:
    """``size`` up to whole vectors."""
    return -(-size // LANES) * LANES


def pad(codes: np.ndarray, size: int) -> np.ndarray:
    """``codes`` (H,) with zeros up to ``size``, int64."""
    return np.pad(np.asarray(codes, dtype=np.int64), (0, size - len(codes)))


def by_input(arena: Arena, matrix: np.ndarray, size: int) -> int:
    """Store a matrix (H, F) as (F + 1, ``size``)."""
    rows = np.zeros((matrix.shape[1] + 1, size), dtype=np.int64)
    rows[:-1, : len(matrix)] = matrix.T
    return arena.put(rows)
