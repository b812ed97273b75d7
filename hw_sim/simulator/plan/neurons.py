"""Planning of neurons and leaky integrators; bodies in the order of operations/neurons.py.

Matrices are laid out by input, one row of S weights each, so that a spike adds a row. Rows are padded to whole
registers with neurons that never spike.

An operation is narrow, int16 values and int32 sums and states, where formats and bounds allow it, else wide, int64. The
products of states are int64 in both.
"""

from __future__ import annotations

from typing import SupportsInt

import numpy as np

from ....program.bounds import I32_LIMIT, dot_bound, largest
from ....program.nodes import LIF, SPIKES, AdaptiveLIF, CubaLIF, DrivenLIF, LeakyIntegrator, Neurons, Node
from ....program.nodes.resets import RESETS
from .. import opcodes as o
from ..arenas import A8, A16, A64, Arena, fits_16
from ..kernels.rows import BLOCK
from ..vectors.plain import LANES
from .planner import NodePlanner, Planner, arena_for, left_shift, rounding

KINDS = {"lif": o.IS_LIF, "se": o.IS_SE, "ef": o.IS_EF, "cuba": o.IS_CUBA}


def plan_neurons(planner: Planner, node: Neurons) -> None:
    """One record for a layer, whatever its kind."""
    bounds = node.bounds()
    own, adapted, adaptation = 0, 0, [0] * 8
    decayed, driven, right = node.potential_shifts
    constants = [left_shifted(node.alpha, decayed), left_shifted(node.rise, driven), node.threshold]
    after = [bounds["the potential"] >> right]
    if isinstance(node, CubaLIF):
        kept, own, w_right = node.synapse_shifts
        constants += [left_shifted(node.beta, kept), *2 * [np.zeros_like(node.beta)]]  # no coupling, no jump
        after.append(bounds["the synapse"] >> w_right)
    if isinstance(node, AdaptiveLIF):
        own, adapted = node.drive_shifts
        lefts, w_right = node.adaptation_shifts[:-1], node.adaptation_shifts[-1]
        changes = zip((node.beta, node.coupling, node.jump), lefts, strict=True)
        constants += [left_shifted(codes, left) for codes, left in changes]
        after.append(bounds["the adaptation"] >> w_right)
    needed = max(bounds["the current"], bounds["the drive"], *after, *(largest(codes) for codes in constants))
    wide = _is_wide(node, needed, node.input_width, node.recurrent_width)
    values, accs, a32, size = planner.values(wide), planner.accs(wide), planner.a32, padded(node.neurons)
    arena, widths = arena_for(wide), (node.input_width, node.recurrent_width)
    weights, source = weights_in(wide, *widths), planner.edge(node.inputs[0], arena)
    left, half, down = rounding(node.current_shift, wide)
    start = np.left_shift(node.bias.astype(np.int64), left) + half
    body: list[SupportsInt]
    body = [size, a32.reserve(max(source.channels, node.neurons) + LANES), node.format == SPIKES, group(wide, *widths)]
    body += [by_input(planner, weights, node.input, size)]
    body += [put_padded(accs, left_shift(node.input_shift + left, wide), size), accs.reserve(size)]
    body += [node.is_recurrent, by_input(planner, weights, node.recurrent, size)]
    body += [put_padded(accs, left_shift(node.recurrent_shift + left, wide), size), accs.reserve(size)]
    body += [put_padded(accs, part, size) for part in (start, down)]

    z, u = planner.reserve_state(values, size), planner.reserve_state(a32, size)
    states = [u]
    alpha, rise, threshold, *rest = (put_padded(accs, codes, size) for codes in constants)
    if node.second is not None:
        states.append(planner.reserve_state(a32, size))
        adaptation = [states[1], node.second.min, node.second.max, *rest, 1 << w_right >> 1, w_right]
    out = planner.place(node, arena)
    body += [KINDS[node.kind], RESETS.index(node.reset), z, u, node.potential.min, node.potential.max]
    body += [
        *(alpha, rise, threshold),
        *(int(left_shift(shift, wide or node.kind == "cuba")) for shift in (own, adapted)),
        1 << right >> 1,
        right,
        *adaptation,
        node.refractory,
        planner.reserve_state(a32, size) if node.refractory else 0,
        planner.trace_states(node),
    ]
    planner.emit(o.NEURONS, node, wide, source, out, body, arenas=(arena, weights, accs.number))
    planner.name_states(node, a32, node.neurons, *states)


def left_shifted(codes: np.ndarray, left: int) -> np.ndarray:
    """Codes that are multiplied, shifted as their products were to be; what is not 0 stays within 52 bits."""
    return np.left_shift(codes.astype(np.int64), np.where(codes == 0, 0, left))


def plan_driven(planner: Planner, node: DrivenLIF) -> None:
    """One record; where all fits, the arithmetic is int32."""
    wide = not fits_16(node.format, node.potential) or max(node.bounds().values()) >= I32_LIMIT
    values, accs = planner.values(wide), planner.accs(wide)
    source, u = planner.edge(node.inputs[0], arena_for(wide)), planner.reserve_state(values, node.channels)
    _, half, right = rounding(node.alpha_frac, wide)
    out = planner.place(node, arena_for(wide))
    body: list[SupportsInt]
    body = [u, node.potential.min, node.potential.max, accs.put(node.alpha), half, right, accs.put(node.threshold)]
    body.append(planner.trace_states(node))
    planner.emit(o.DRIVEN, node, wide, source, out, body)
    planner.name_states(node, values, node.channels, u)


def plan_integrators(planner: Planner, node: LeakyIntegrator) -> None:
    """One record for leaky integrators; their potentials are wide."""
    wide = _is_wide(node, int(max(dot_bound(node.weight, node.format.magnitude))), node.weight_width)
    accs, a32, a64, arena = planner.accs(wide), planner.a32, planner.a64, arena_for(wide)
    size, source, weights = (
        padded(node.channels),
        planner.edge(node.inputs[0], arena),
        weights_in(wide, node.weight_width),
    )
    body = [size, a32.reserve(source.channels + LANES), node.format == SPIKES, group(wide, node.weight_width)]
    body += [by_input(planner, weights, node.weight, size), put_padded(a64, left_shift(node.weight_shift, True), size)]
    left, half, right = rounding(node.output_shift, True)
    start = np.left_shift(node.bias.astype(np.int64), left) + half
    body += [accs.reserve(size), *(put_padded(a64, part, size) for part in (left, start, right))]
    body += [planner.reserve_state(a32, size), put_padded(a32, node.decay, size)]
    body.append(put_padded(a64, left_shift(node.decay_shift, True), size))
    out = planner.place(node, A64)
    planner.emit(o.INTEGRATE, node, wide, source, out, body, arenas=(arena, weights, accs.number))


def _is_wide(node: Neurons | LeakyIntegrator, sums: int, *widths: int) -> bool:
    """Whether the inputs, the weights (int16) or the sums of weights (int32) need more."""
    return sums >= I32_LIMIT or not fits_16(node.format) or max(widths) > 16


def weights_in(wide: bool, *widths: int) -> int:
    """The arena of weights of these widths."""
    return A64 if wide else A8 if max(widths) <= 8 else A16


def group(wide: bool, *widths: int) -> int:
    """How many rows of weights of these widths a 16-bit sum holds; 0: they are added in the type of the sums."""
    return 0 if wide else ((1 << 15) - 1) >> (max(widths) - 1)


def padded(size: int) -> int:
    """``size`` up to whole registers."""
    return -(-size // BLOCK) * BLOCK


def put_padded(arena: Arena, codes: np.ndarray, size: int) -> int:
    """Store ``codes`` (H,) with zeros up to ``size``."""
    return arena.put(np.pad(codes, (0, size - len(codes))))


def by_input(planner: Planner, arena: int, matrix: np.ndarray, size: int) -> int:
    """Store a matrix (H, F) as (F, ``size``)."""
    rows = np.zeros((matrix.shape[1], size), dtype=np.int64)
    rows[:, : len(matrix)] = matrix.T
    return planner.put_bytes(rows) if arena == A8 else planner.values(arena == A64).put(rows)


FUNCTIONS: dict[type[Node], NodePlanner] = {
    LIF: plan_neurons,
    AdaptiveLIF: plan_neurons,
    CubaLIF: plan_neurons,
    DrivenLIF: plan_driven,
    LeakyIntegrator: plan_integrators,
}
