"""Nodes of a program, evaluated step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....program.nodes import (
    HIDDEN,
    LIF,
    TOTAL,
    VALUE,
    WEIGHT,
    AdaptiveLIF,
    ChannelSSM,
    CubaLIF,
    DiagonalSSM,
    DrivenLIF,
    EventPool,
    LeakyIntegrator,
    Node,
    Readout,
)
from .neurons import AdaptiveState, CubaState, DrivenState, IntegratorState, NeuronState
from .ssm import ChannelState, SsmState
from .stateless import STATELESS
from .windows import PoolState, ReadoutState

STATEFUL: Mapping[type[Node], Callable[[Any], Any]] = {
    AdaptiveLIF: AdaptiveState,
    ChannelSSM: ChannelState,
    CubaLIF: CubaState,
    DiagonalSSM: SsmState,
    DrivenLIF: DrivenState,
    EventPool: PoolState,
    LeakyIntegrator: IntegratorState,
    LIF: NeuronState,
    Readout: ReadoutState,
}
"""The state of each node type that has one."""


def shows_state(node: Node) -> bool:
    """Whether what the node holds is recorded."""
    return any(state.seen != HIDDEN for state in node.states())


class Evaluator:
    """Consecutive nodes of a program with their states.

    An event that is not valid never reaches ``step``, so it can change nothing.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self.reset()

    def reset(self) -> None:
        """Zero states: the start of a sample."""
        self.states = {node.name: STATEFUL[type(node)](node) for node in self.nodes if type(node) in STATEFUL}

    def state_codes(self) -> np.ndarray:
        """Codes of all nodes that hold some, in order, int64."""
        held = [self.states[node.name].codes.ravel() for node in self.nodes if shows_state(node)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *held])

    def step(self, edges: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One valid event: the edges that carry a value now, given ones included.

        A node whose input edge is missing (its window is still open) is not evaluated.
        """
        edges = dict(edges)
        for node in self.nodes:
            if node.reads_out:
                self._read_out(node, edges)
                continue
            if any(edge not in edges for edge in node.inputs):
                continue
            inputs = [edges[edge] for edge in node.inputs]
            stateless = STATELESS.get(type(node))
            value = stateless(node, inputs) if stateless else self.states[node.name].step(*inputs)
            if value is not None:
                edges[node.name] = value
        return edges

    def _read_out(self, node: Node, edges: dict[str, np.ndarray]) -> None:
        """A read-out takes what has arrived, at whichever rate, and always has a value."""
        state = self.states[node.name]
        if node.edge(TOTAL) in edges:
            state.pass_time(edges[node.edge(TOTAL)])
        if node.edge(VALUE) in edges:
            state.take(*(edges[edge] for edge in (node.edge(VALUE), node.edge(WEIGHT)) if edge))
        edges[node.name] = state.value()
