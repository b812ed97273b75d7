"""The state-space nodes."""

from __future__ import annotations

import numpy as np

from ....program.nodes import ChannelSSM, DiagonalSSM, Node
from ..edges import Edges
from ..integer.ssm import moving_events
from ..records import Tally
from .rule import WIDTH, FloatRule, op, read


def diagonal_ssm(node: DiagonalSSM, edges: Edges, tally: Tally) -> None:
    """``x <- exp(rate n) x + B u``: where time has passed a complex exponential and a complex product a mode."""
    gap = edges.inputs(node)[1][:, 0]
    moving, decays = int(moving_events(node, gap).sum()), int(np.count_nonzero(gap)) * node.modes
    bias = np.count_nonzero(node.bias_re) + np.count_nonzero(node.bias_im)
    op(tally, "mac", "B", moving * 2 * node.input_re.size)
    op(tally, "add", "bias", moving * bias)
    op(tally, "add", "drive", moving * 2 * node.modes * (2 if node.discretization == "zoh" else 1))
    op(tally, "function", "exp, cos, sin", 3 * decays)
    op(tally, "multiply", "decay factor", 4 * decays)
    op(tally, "multiply", "decay", 4 * decays)
    op(tally, "add", "decay", 2 * decays)
    tally.state_updates += moving * node.modes
    bits = moving * 2 * node.modes * WIDTH
    tally.move(state_read=bits, state_written=bits)
    read(tally, moving * int(2 * node.input_re.size + bias) + 2 * decays)


def numbers(node: DiagonalSSM) -> int:
    """B, biases that are not zero, and one complex rate a mode."""
    biases = int(np.count_nonzero(node.bias_re) + np.count_nonzero(node.bias_im))
    return 2 * node.input_re.size + biases + 2 * node.modes


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
