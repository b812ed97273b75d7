"""The state-space nodes."""

from __future__ import annotations

import numpy as np

from ....program import ProgramError
from ....program.arithmetic import round_half_up_shift, saturate
from ....program.bounds import register_bits
from ....program.nodes import ChannelSSM, DiagonalSSM, Node
from ....program.nodes.facts import SHIFT_BITS
from ....program.reference.ssm import channel_decay, decay_change
from ....program.reference.ssm import drive as driven
from ..edges import Edges, NodeCounter
from ..records import Tally
from .stateless import matrix_products, read_fixed


def moving_events(node: DiagonalSSM, gap: np.ndarray) -> np.ndarray:
    """Events (n,) at which the node does anything: all, but for zoh those with a gap of zero."""
    return (gap > 0) | (node.discretization != "zoh")


def diagonal_ssm(node: DiagonalSSM, edges: Edges, tally: Tally) -> None:
    """Drive, decay steps of the gap's set digits, state updates; the state is replayed to see the zeros."""
    u, gap = edges.inputs(node)[0], np.minimum(edges.inputs(node)[1][:, 0], node.max_gap)
    moving = moving_events(node, gap)
    runs, modes = int(moving.sum()), node.modes
    result, width = register_bits(node.drive_accumulator), node.state_width
    weight = np.concatenate([node.input_re, node.input_im])
    matrix_products(tally, "B", weight, (node.input_width, node.format.width), result, u[moving])
    biases = np.count_nonzero(node.bias_re) + np.count_nonzero(node.bias_im)
    codes = node.parts * runs * modes
    tally.add("add", "bias", (result, result), result, codes, runs * biases)
    tally.add("round", "drive", (result, 0), width, node.parts * runs * np.count_nonzero(node.drive_shift > 0))
    stores = 2 if node.discretization == "zoh" else 1
    tally.add("add", "drive", (width, width), width, codes * stores)
    _decays(node, edges, u, gap, tally)
    count = edges.output(node).size
    tally.add("round", "read", (width, 0), node.output.width, count * (node.read_shift > 0))
    tally.state_updates += runs * modes
    tally.move(state_read=codes * width, state_written=codes * width)
    read_fixed(tally, node.whole_bits, runs)


def _decays(node: DiagonalSSM, edges: Edges, u: np.ndarray, gap: np.ndarray, tally: Tally) -> None:
    """Count each digit's products on the state as it then was: all events at once, as the trace has their states."""
    states, modes = edges.states(node), node.modes
    before = np.concatenate([np.zeros((1, node.channels), dtype=np.int64), states[:-1]])
    drive = driven(node, u)
    zoh, form = node.discretization == "zoh", node.state_format
    x = saturate(before + drive, form)[0] if zoh else before
    result = register_bits(node.decay_accumulator)
    bits = node.decays * (node.parts * node.decay_width + SHIFT_BITS)
    for digit in range(node.digits):
        chosen = (gap >> digit) & 1 == 1
        held, steps = x[chosen], int(chosen.sum()) * modes
        codes = (node.decay_re[digit] != 0).astype(np.int64)
        if not node.real:
            codes = np.tile(codes + (node.decay_im[digit] != 0), 2)
        products, parts = node.parts**2, node.parts
        effective = ((held != 0) * codes).sum()
        tally.add("multiply", "decay", (node.decay_width, node.state_width), result, products * steps, effective)
        tally.add("add", "decay", (result, result), result, (products - parts) * steps)
        tally.add("round", "decay", (result, 0), node.state_width, parts * steps)
        tally.add("add", "state", (node.state_width, node.state_width), node.state_width, parts * steps)
        tally.digit_steps += steps
        read_fixed(tally, bits, int(chosen.sum()))
        x = x.copy()
        x[chosen] = saturate(held + decay_change(node, digit, held), form)[0]
    x = saturate(x - drive if zoh else x + drive, form)[0]
    if zoh:
        x = np.where((gap > 0)[:, None], x, before)
    if not np.array_equal(x, states):
        raise ProgramError(f"node {node.name}: the trace's states do not follow from its values; trace the run anew")


def channel_ssm(node: ChannelSSM, edges: Edges, tally: Tally) -> None:
    """A decay step, an addition of the input and a product with C a mode; D and the sum's rounding a channel."""
    (u,), states = edges.inputs(node), edges.states(node)
    runs, modes = len(u), node.modes * node.channels
    before = np.concatenate([np.zeros_like(states[:1]), states[:-1]])
    width, result, total = (
        node.state_width,
        register_bits(node.decay_accumulator),
        register_bits(node.output_accumulator),
    )
    codes = np.tile((node.decay_re != 0).astype(np.int64) + (node.decay_im != 0), (2, 1, 1)).ravel()
    effective = ((before != 0) * codes).sum()
    tally.add("multiply", "decay", (node.decay_width, width), result, 4 * runs * modes, effective)
    tally.add("add", "decay", (result, result), result, 2 * runs * modes)
    tally.add("round", "decay", (result, 0), width, 2 * runs * modes)
    tally.add("add", "state", (width, width), width, 2 * runs * modes)
    tally.add("round", "drive", (node.format.width, 0), width, runs * np.count_nonzero(node.drive_shift > 0))
    tally.add("add", "drive", (width, width), width, runs * modes)
    weight = np.concatenate([node.output_re.ravel(), node.output_im.ravel()])
    matrix_products(tally, "C", weight, (node.output_width, width), total, states)
    matrix_products(tally, "D", node.feedthrough, (node.feedthrough_width, node.format.width), total, u)
    tally.add("add", "bias", (total, total), total, runs * node.channels, runs * np.count_nonzero(node.bias))
    tally.add("round", "sum", (total, 0), node.output.width, runs * np.count_nonzero(node.output_shift > 0))
    tally.state_updates += runs * modes
    tally.digit_steps += runs * modes
    tally.move(state_read=2 * runs * modes * width, state_written=2 * runs * modes * width)
    read_fixed(tally, node.whole_bits + modes * (2 * node.decay_width + SHIFT_BITS), runs)
    _check_channels(node, before, u, states)


def _check_channels(node: ChannelSSM, before: np.ndarray, u: np.ndarray, states: np.ndarray) -> None:
    shape, form = (len(u), 2, node.modes, node.channels), node.state_format
    old = before.reshape(shape)
    new = np.stack(channel_decay(node, old[:, 0], old[:, 1]), axis=1)
    new = saturate(old + new, form)[0]
    new[:, 0] = saturate(new[:, 0] + round_half_up_shift(u[:, None, :], node.drive_shift), form)[0]
    if not np.array_equal(new.reshape(states.shape), states):
        raise ProgramError(f"node {node.name}: the trace's states do not follow from its values; trace the run anew")


COUNTERS: dict[type[Node], NodeCounter] = {DiagonalSSM: diagonal_ssm, ChannelSSM: channel_ssm}
