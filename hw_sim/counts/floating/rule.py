"""What a float implementation does at one node, and the numbers that it keeps there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, SupportsInt

from ....program.nodes import Node
from ..edges import NodeCounter
from ..records import Tally

WIDTH = 32
"""Bits of a number."""


def state_numbers(node: Node) -> int:
    """Numbers that a node remembers: one for each component of its states."""
    return sum(state.size for state in node.states())


@dataclass(frozen=True)
class FloatRule:
    """What belongs to one node type.

    Attributes:
        count: of one sample.
        parameters: how many numbers the node keeps unchanged.
        state: how many it remembers.
    """

    count: NodeCounter
    parameters: Callable[[Any], int] = lambda node: 0
    state: Callable[[Any], int] = state_numbers


def op(tally: Tally, kind: str, what: str, number: SupportsInt) -> None:
    """Count operations on operands of 32 bits."""
    tally.add(kind, what, (WIDTH, WIDTH), WIDTH, number)


def read(tally: Tally, numbers: int) -> None:
    """Count parameters read."""
    tally.move(weights=numbers * WIDTH, weights_dense=numbers * WIDTH)


def update_states(node: Node, runs: int, numbers: int, tally: Tally) -> None:
    """Each neuron once a step: states read and written, and the ``numbers`` that the layer keeps read in full."""
    tally.state_updates += runs * node.channels
    bits = runs * WIDTH * state_numbers(node)
    tally.move(state_read=bits, state_written=bits)
    read(tally, runs * numbers)
