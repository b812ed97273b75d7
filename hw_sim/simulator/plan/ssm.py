"""Planning of the state-space nodes; bodies in the order of operations/ssm.py."""

from __future__ import annotations

from typing import SupportsInt

import numpy as np

from ....program.arithmetic import round_half_up_shift
from ....program.bounds import I32_LIMIT
from ....program.nodes import ChannelSSM, DiagonalSSM, Node
from .. import opcodes as o
from ..arenas import fits_16
from .planner import Edge, NodePlanner, Planner, left_shift, rounding


def plan_ssm(planner: Planner, node: DiagonalSSM) -> None:
    """One record; where the input depends on the token alone, B times it is looked up as well."""
    table = planner.table_of(node.inputs[0], node.channels)
    wide = (
        (table is None and not fits_16(node.format))
        or not fits_16(node.output)
        or max(node.state_width, node.input_width, node.decay_width) > 16
        or max(node.bounds().values()) >= I32_LIMIT
    )
    values, accs = planner.values(wide), planner.accs(wide)
    weight = np.concatenate([node.input_re, node.input_im]).astype(np.int64)
    bias = np.concatenate([node.bias_re, node.bias_im]).astype(np.int64)
    shift = node.channel_shift
    if table is not None:
        source = Edge(planner.rows_at[node.inputs[0]], 0, weight.shape[1])
        drives = accs.put(round_half_up_shift(table.values @ weight.T + bias, shift))
        drive = [drives, planner.token.offset, *[0] * 7]
    else:
        source = planner.edge(node.inputs[0], wide)
        drive = [-1, 0, values.put(weight), accs.put(bias), accs.reserve(node.channels)]
        drive += [*planner.put_shifts(shift, wide), accs.reserve(node.channels)]
    clips = planner.plan.clipped_gaps[node.name] = planner.reserve_state(planner.a64, 1)
    gap = planner.edge(node.inputs[1], True)
    state = planner.reserve_state(values, node.channels)
    decay = np.concatenate([node.decay_re, node.decay_im], axis=1)
    _, half, exponent = rounding(node.decay_exponent, wide)
    _, read_half, read_right = rounding(node.read_shift, True)
    out = planner.place(node, wide)
    body: list[SupportsInt]
    body = [gap.offset, node.max_gap, clips, node.modes, node.parts, node.discretization == "zoh", *drive]
    body += [state, node.state_format.min, node.state_format.max, values.put(decay), accs.put(half)]
    body += [accs.put(exponent), read_half, read_right, planner.trace_states(node)]
    planner.emit(o.SSM, node, wide, source, out, body)
    planner.name_states(node, values, node.channels, state)


def plan_channels(planner: Planner, node: ChannelSSM) -> None:
    """One record; all its rows have a channel an entry, so that loops run over channels."""
    wide = (
        not fits_16(node.format, node.output)
        or max(node.state_width, node.output_width, node.feedthrough_width, node.decay_width) > 16
        or max(node.bounds().values()) >= I32_LIMIT
    )
    values, accs, size = planner.values(wide), planner.accs(wide), node.modes * node.channels
    source = planner.edge(node.inputs[0], wide)
    state = planner.reserve_state(values, 2 * size)
    _, half, exponent = rounding(node.decay_exponent, wide)
    out = planner.place(node, wide)
    body: list[SupportsInt]
    body = [node.modes, state, node.state_format.min, node.state_format.max]
    body += [values.put(np.stack([node.decay_re, node.decay_im])), accs.put(half), accs.put(exponent)]
    body += planner.put_shifts(node.drive_shift, wide)
    body += [values.put(np.stack([node.output_re, node.output_im])), accs.put(left_shift(node.state_shift, wide))]
    body += [values.put(node.feedthrough), accs.put(left_shift(node.feedthrough_shift, wide)), accs.put(node.bias)]
    body += [accs.reserve(node.channels), *planner.put_shifts(node.output_shift, wide), planner.trace_states(node)]
    planner.emit(o.CHANNELS, node, wide, source, out, body)
    planner.name_states(node, values, 2 * size, state)


FUNCTIONS: dict[type[Node], NodePlanner] = {DiagonalSSM: plan_ssm, ChannelSSM: plan_channels}
