"""Planning of the state-space nodes; bodies in the order of operations/ssm.py."""

from __future__ import annotations

from typing import SupportsInt

import numpy as np

from ....program.arithmetic import round_half_up_shift
from ....program.bounds import I32_LIMIT
from ....program.nodes import ChannelSSM, DiagonalSSM, Node
from .. import opcodes as o
from ..arenas import A8, A64, fits_16
from ..vectors.plain import LANES
from .planner import Edge, NodePlanner, Planner, arena_for, left_shift, rounding

MAX_NARROW_SHIFT = 30
"""Right shifts whose rounding term fits int32."""


def plan_ssm(planner: Planner, node: DiagonalSSM) -> None:
    """One record; where the input depends on the token alone, B times it is looked up as well."""
    table = planner.table_of(node.inputs[0], node.channels)
    wide = (
        (table is None and not fits_16(node.format))
        or not fits_16(node.output)
        or max(node.state_width, node.input_width, node.decay_width) > 16
        or max(node.bounds().values()) >= I32_LIMIT
        or node.read_shift > MAX_NARROW_SHIFT
    )
    values, accs, arena = planner.values(wide), planner.accs(wide), arena_for(wide)
    pad = -(-node.modes // LANES) * LANES
    bias, shift = (padded_parts(node, codes, pad) for codes in (_both(node.bias_re, node.bias_im), node.channel_shift))
    weight = padded_parts(node, _both(node.input_re, node.input_im), pad)
    weights = A8 if not wide and (table is not None or node.input_width <= 8) else arena
    if table is not None:
        source = Edge(planner.rows_of(node.inputs[0]), 0, weight.shape[1])
        found = round_half_up_shift(table.values @ weight.T + bias, shift)
        short = not wide and bool((np.abs(found) < 1 << 15).all())
        drive = [(values if short else accs).put(found), short, planner.token.offset]
        matrix, thin, starts, products = [0] * 4, -1, -1, -1
    else:
        source, drive = planner.edge(node.inputs[0], arena), [-1, False, 0]
        place, starts = planner.put_weights(weight, weights, wide, node.format)
        matrix = [place, *planner.put_sum(bias, shift, wide)]
        thin, products = planner.put_thin(weight, node.parts * pad, wide)
    clips = planner.plan.clipped_gaps[node.name] = planner.reserve_state(planner.a64, 1)
    gap = planner.edge(node.inputs[1], A64)
    state = planner.reserve_state(values, node.parts * pad)
    beyond = ((0, 0), (0, pad - node.modes))
    decay = np.stack([np.pad(part, beyond) for part in (node.decay_re, node.decay_im)[: node.parts]], axis=1)
    _, half, exponent = rounding(np.pad(node.decay_exponent, beyond), wide)
    _, read_half, read_right = rounding(node.read_shift, True)
    out = planner.place(node, arena)
    body: list[SupportsInt]
    body = [gap.offset, node.max_gap, clips, node.modes, node.parts, node.discretization == "zoh", *drive, *matrix]
    body += [thin, starts, planner.room, products, state, node.state_format.min, node.state_format.max]
    body += [values.put(decay), accs.put(half), accs.put(exponent), read_half, read_right, planner.trace_states(node)]
    planner.emit(o.SSM, node, wide, source, out, body, arenas=(arena, weights, accs.number))
    planner.name_states(node, values, node.modes, *(state + part * pad for part in range(node.parts)))


def _both(re: np.ndarray, im: np.ndarray) -> np.ndarray:
    return np.concatenate([re, im]).astype(np.int64)


def padded_parts(node: DiagonalSSM, codes: np.ndarray, pad: int) -> np.ndarray:
    """Rows of modes, the real parts then the imaginary ones, with zeros behind each so that it has ``pad``."""
    parts = codes.reshape(node.parts, node.modes, *codes.shape[1:])
    beyond = [(0, 0), (0, pad - node.modes), *[(0, 0)] * (codes.ndim - 1)]
    return np.pad(parts, beyond).reshape(node.parts * pad, *codes.shape[1:])


def plan_channels(planner: Planner, node: ChannelSSM) -> None:
    """One record; all its rows have a channel an entry, so that loops run over channels."""
    wide = (
        not fits_16(node.format, node.output)
        or max(node.state_width, node.output_width, node.feedthrough_width, node.decay_width) > 16
        or max(node.bounds().values()) >= I32_LIMIT
    )
    values, accs, size = planner.values(wide), planner.accs(wide), node.modes * node.channels
    source = planner.edge(node.inputs[0], arena_for(wide))
    state = planner.reserve_state(values, 2 * size)
    _, half, exponent = rounding(node.decay_exponent, wide)
    out = planner.place(node, arena_for(wide))
    body: list[SupportsInt]
    body = [node.modes, state, node.state_format.min, node.state_format.max]
    body += [values.put(np.stack([node.decay_re, node.decay_im])), accs.put(half), accs.put(exponent)]
    body += planner.put_shifts(node.drive_shift, wide)
    body += [values.put(np.stack([node.output_re, node.output_im])), accs.put(left_shift(node.state_shift, wide))]
    body += [values.put(node.feedthrough), accs.put(left_shift(node.feedthrough_shift, wide)), accs.put(node.bias)]
    body += [*planner.put_shifts(node.output_shift, wide), planner.trace_states(node)]
    planner.emit(o.CHANNELS, node, wide, source, out, body)
    planner.name_states(node, values, 2 * size, state)


FUNCTIONS: dict[type[Node], NodePlanner] = {DiagonalSSM: plan_ssm, ChannelSSM: plan_channels}
