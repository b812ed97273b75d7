"""Planning of neurons and leaky integrators; bodies in the order of operations/neurons.py.

Matrices are laid out by input, one row of H weights each, so that a spike adds a row; a last row of zeros fills groups
of rows up. Rows are padded to whole vectors with neurons that never spike.

An operation is narrow, int16 values and int32 sums of weights, where formats and bounds allow it, else wide, int64. The
arithmetic of the states is int64 in both: a layer of 360 neurons gains 0.1 us a step with int32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsInt

import numpy as np

from ....program.bounds import I32_LIMIT, dot_bound
from ....program.nodes import LIF, SPIKES, AdaptiveLIF, DrivenLIF, LeakyIntegrator, Node
from .. import opcodes as o
from ..arenas import Arena, fits_16
from ..kernels.neurons import GROUP
from .planner import NodePlanner, Planner, left_shift, rounding

LANES = 16
"""Rows are padded to a multiple of this."""


def plan_neurons(planner: Planner, node: LIF | AdaptiveLIF) -> None:
    """One record for a layer, adaptive or not."""
    wide = _is_wide(node, node.bounds()["the current"], node.input_width, node.recurrent_width)
    values, accs, a32, size = planner.values(wide), planner.accs(wide), planner.a32, padded(node.neurons)
    source = planner.edge(node.inputs[0], wide)
    input_shift, recurrent_shift = left_shift(node.input_shift, wide), left_shift(node.recurrent_shift, wide)
    body: list[SupportsInt]
    body = [size, a32.reserve(max(source.channels, node.neurons) + GROUP), node.format == SPIKES]
    body += [by_input(values, node.input, size), put_padded(accs, input_shift, size), accs.reserve(size)]
    body += [node.is_recurrent, by_input(values, node.recurrent, size), put_padded(accs, recurrent_shift, size)]
    body += [accs.reserve(size), put_padded(accs, node.bias, size)]
    body += [put_padded(accs, part, size) for part in rounding(node.current_shift, wide)]

    z, u = planner.reserve_state(values, size), planner.reserve_state(a32, size)
    kind, states, shifts, adaptation = o.IS_LIF, [u], [*node.potential_shifts], [0] * 7
    if isinstance(node, AdaptiveLIF):
        kind, shifts = o.IS_SE if node.order == "se" else o.IS_EF, [*node.drive_shifts, *shifts]
        states.append(planner.reserve_state(a32, size))
        adaptation = [states[1], node.adaptation.min, node.adaptation.max, put_padded(a32, node.beta, size)]
        adaptation += [put_padded(a32, node.coupling, size), put_padded(a32, node.jump, size)]
        adaptation.append(_put_state_shifts(planner, node.adaptation_shifts))
    body += [kind, z, u, node.potential.min, node.potential.max, put_padded(a32, node.alpha, size)]
    body += [put_padded(a32, node.rise, size), put_padded(planner.a64, node.threshold, size)]
    out = planner.place(node, wide)
    body += [_put_state_shifts(planner, shifts), *adaptation, planner.trace_states(node)]
    planner.emit(o.NEURONS, node, wide, source, out, body)
    planner.name_states(node, a32, node.neurons, *states)


def _put_state_shifts(planner: Planner, shifts: Sequence[int]) -> int:
    """Left shifts, then half and right of the shift to the right that comes last."""
    *lefts, right = shifts
    return planner.a64.put(np.array([*(min(left, 62) for left in lefts), 1 << right >> 1, right]))


def plan_driven(planner: Planner, node: DrivenLIF) -> None:
    """One record; where all fits, the arithmetic is int32."""
    wide = not fits_16(node.format, node.potential) or max(node.bounds().values()) >= I32_LIMIT
    values, accs = planner.values(wide), planner.accs(wide)
    source, u = planner.edge(node.inputs[0], wide), planner.reserve_state(values, node.channels)
    _, half, right = rounding(node.alpha_frac, wide)
    out = planner.place(node, wide)
    body: list[SupportsInt]
    body = [u, node.potential.min, node.potential.max, accs.put(node.alpha), half, right, accs.put(node.threshold)]
    body.append(planner.trace_states(node))
    planner.emit(o.DRIVEN, node, wide, source, out, body)
    planner.name_states(node, values, node.channels, u)


def plan_integrators(planner: Planner, node: LeakyIntegrator) -> None:
    """One record for leaky integrators; their potentials are wide."""
    wide = _is_wide(node, int(max(dot_bound(node.weight, node.format.magnitude))), node.weight_width)
    values, accs, a32, a64 = planner.values(wide), planner.accs(wide), planner.a32, planner.a64
    size, source = padded(node.channels), planner.edge(node.inputs[0], wide)
    body = [size, a32.reserve(source.channels + GROUP), node.format == SPIKES, by_input(values, node.weight, size)]
    body += [put_padded(a64, left_shift(node.weight_shift, True), size), accs.reserve(size)]
    body += [put_padded(a64, part, size) for part in (node.bias, *rounding(node.output_shift, True))]
    body += [planner.reserve_state(a32, size), put_padded(a32, node.decay, size)]
    body.append(put_padded(a64, left_shift(node.decay_shift, True), size))
    planner.emit(o.INTEGRATE, node, wide, source, planner.place(node, True), body)


def _is_wide(node: LIF | AdaptiveLIF | LeakyIntegrator, sums: int, *widths: int) -> bool:
    """Whether the inputs, a group of weights (int16) or the sums of weights (int32) need more."""
    return sums >= I32_LIMIT or not fits_16(node.format) or GROUP << (max(widths) - 1) > 1 << 15


def padded(size: int) -> int:
    """``size`` up to whole vectors."""
    return -(-size // LANES) * LANES


def put_padded(arena: Arena, codes: np.ndarray, size: int) -> int:
    """Store ``codes`` (H,) with zeros up to ``size``."""
    return arena.put(np.pad(codes, (0, size - len(codes))))


def by_input(arena: Arena, matrix: np.ndarray, size: int) -> int:
    """Store a matrix (H, F) as (F + 1, ``size``)."""
    rows = np.zeros((matrix.shape[1] + 1, size), dtype=np.int64)
    rows[:-1, : len(matrix)] = matrix.T
    return arena.put(rows)


FUNCTIONS: dict[type[Node], NodePlanner] = {
    LIF: plan_neurons,
    AdaptiveLIF: plan_neurons,
    DrivenLIF: plan_driven,
    LeakyIntegrator: plan_integrators,
}
