"""The state-space nodes."""

from __future__ import annotations

import numpy as np

from ....program.nodes import ChannelSSM, DiagonalSSM, Node
from ..edges import Edges
from ..integer.ssm import moving_events
from ..records import Tally
from .rule import WIDTH, FloatRule, op, read


def diagonal_ssm(node: DiagonalSSM, edges: Edges, tally: Tally) -> None:
    """``x <- exp(rate n) x + B u``: where time has passed, an exponential a decay and a product a mode."""
    gap = edges.inputs(node)[1][:, 0]
    moving, decays = int(moving_events(node, gap).sum()), int(np.count_nonzero(gap)) * node.modes
    rates = int(np.count_nonzero(gap)) * node.decays
    bias = np.count_nonzero(node.bias_re) + np.count_nonzero(node.bias_im)
    parts = node.parts
    op(tally, "mac", "B", moving * parts * node.input_re.size)
    op(tally, "add", "bias", moving * bias)
    op(tally, "add", "drive", moving * parts * node.modes * (2 if node.discretization == "zoh" else 1))
    if node.real:
        op(tally, "function", "exp", rates)
        op(tally, "multiply", "decay factor", rates)
        op(tally, "multiply", "decay", decays)
    else:
        op(tally, "function", "exp, cos, sin", 3 * rates)
        op(tally, "multiply", "decay factor", 4 * rates)
        op(tally, "multiply", "decay", 4 * decays)
        op(tally, "add", "decay", 2 * decays)
    tally.state_updates += moving * node.modes
    bits = moving * parts * node.modes * WIDTH
    tally.move(state_read=bits, state_written=bits)
    read(tally, moving * int(parts * node.input_re.size + bias) + parts * rates)


def numbers(node: DiagonalSSM) -> int:
    """B, biases that are not zero, and one rate a mode, complex or real, or one for all that share it."""
    biases = int(np.count_nonzero(node.bias_re) + np.count_nonzero(node.bias_im))
    return node.parts * (node.input_re.size + node.decays) + biases


def channel_ssm(node: ChannelSSM, edges: Edges, tally: Tally) -> None:
    """``x <- a x + u`` and ``C x + D u``, with decays computed once: a step's length does not change."""
    runs, modes = len(edges.output(node)), node.modes * node.channels
    op(tally, "multiply", "decay", 4 * runs * modes)
    op(tally, "add", "decay", 2 * runs * modes)
    op(tally, "add", "drive", runs * modes)
    op(tally, "mac", "C", 2 * runs * modes)
    op(tally, "mac", "D", runs * node.channels)
    op(tally, "add", "bias", runs * int(np.count_nonzero(node.bias)))
    tally.state_updates += runs * modes
    bits = 2 * runs * modes * WIDTH
    tally.move(state_read=bits, state_written=bits)
    read(tally, runs * channel_numbers(node))


def channel_numbers(node: ChannelSSM) -> int:
    """A complex decay and C a mode, D, and biases that are not zero."""
    return 4 * node.modes * node.channels + node.channels + int(np.count_nonzero(node.bias))


RULES: dict[type[Node], FloatRule] = {
    DiagonalSSM: FloatRule(diagonal_ssm, numbers),
    ChannelSSM: FloatRule(channel_ssm, channel_numbers),
}
