"""The state-space node."""

from __future__ import annotations

import numpy as np

from ....program import ProgramError
from ....program.arithmetic import round_half_up_shift, saturate
from ....program.bounds import register_bits
from ....program.nodes import DiagonalSSM, Node
from ....program.nodes.facts import SHIFT_BITS
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
    tally.add("add", "bias", (result, result), result, 2 * runs * modes, runs * biases)
    tally.add("round", "drive", (result, 0), width, 2 * runs * np.count_nonzero(node.drive_shift > 0))
    stores = 2 if node.discretization == "zoh" else 1
    tally.add("add", "drive", (width, width), width, 2 * runs * modes * stores)
    _decays(node, edges, u, gap, tally)
    count = edges.output(node).size
    tally.add("round", "read", (width, 0), node.output.width, count * (node.read_shift > 0))
    tally.state_updates += runs * modes
    bits = 2 * runs * modes * width
    tally.move(state_read=bits, state_written=bits)
    read_fixed(tally, node.whole_bits, runs)


def _decays(node: DiagonalSSM, edges: Edges, u: np.ndarray, gap: np.ndarray, tally: Tally) -> None:
    """Count each digit's products on the state as it then was: all events at once, as the trace has their states."""
    states, modes = edges.states(node), node.modes
    before = np.concatenate([np.zeros((1, 2 * modes), dtype=np.int64), states[:-1]])
    drive = driven(node, u)
    zoh, form = node.discretization == "zoh", node.state_format
    x = saturate(before + drive, form)[0] if zoh else before
    result = register_bits(node.decay_accumulator)
    bits = node.modes * (2 * node.decay_width + SHIFT_BITS)
    for digit in range(node.digits):
        chosen = (gap >> digit) & 1 == 1
        d_re, d_im = node.decay_re[digit].astype(np.int64), node.decay_im[digit].astype(np.int64)
        re, im = x[chosen, :modes], x[chosen, modes:]
        steps = int(chosen.sum()) * modes
        codes = (d_re != 0).astype(np.int64) + (d_im != 0)
        effective = ((re != 0) * codes).sum() + ((im != 0) * codes).sum()
        tally.add("multiply", "decay", (node.decay_width, node.state_width), result, 4 * steps, effective)
        tally.add("add", "decay", (result, result), result, 2 * steps)
        tally.add("round", "decay", (result, 0), node.state_width, 2 * steps)
        tally.add("add", "state", (node.state_width, node.state_width), node.state_width, 2 * steps)
        tally.digit_steps += steps
        read_fixed(tally, bits, int(chosen.sum()))
        exponent = node.decay_exponent[digit]
        step = [
            round_half_up_shift(d_re * re - d_im * im, exponent),
            round_half_up_shift(d_re * im + d_im * re, exponent),
        ]
        x = x.copy()
        x[chosen] = saturate(x[chosen] + np.concatenate(step, axis=1), form)[0]
    x = saturate(x - drive if zoh else x + drive, form)[0]
    if zoh:
        x = np.where((gap > 0)[:, None], x, before)
    if not np.array_equal(x, states):
        raise ProgramError(f"node {node.name}: the trace's states do not follow from its values; trace the run anew")


COUNTERS: dict[type[Node], NodeCounter] = {DiagonalSSM: diagonal_ssm}
