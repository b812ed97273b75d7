"""The same graph in float32: what a straightforward float implementation executes for the same events."""

from __future__ import annotations

from ....program.nodes import Node
from . import loihi, neurons, ssm, stateless, windows
from .rule import WIDTH, FloatRule

RULES: dict[type[Node], FloatRule] = {
    **stateless.RULES,
    **ssm.RULES,
    **windows.RULES,
    **neurons.RULES,
    **loihi.RULES,
}
"""Inputs are the host's and have no rule."""


def parameter_bits(node: Node) -> int:
    """Bits of the parameters, 32 each."""
    return 0 if node.is_input else WIDTH * RULES[type(node)].parameters(node)


def state_bits(node: Node) -> int:
    """Bits of the state, 32 a number."""
    return 0 if node.is_input else WIDTH * RULES[type(node)].state(node)
