"""A part of a program, run event by event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ....quantize.program import ProgramError
from ....quantize.program.nodes import DiagonalSSM, EventPool, Node, Readout
from .stateful import PoolState, ReadoutState, SsmState
from .stateless import STATELESS


class Block:
    """Consecutive nodes of a program with their states.

    An event that is not valid never reaches ``step``, so it can change nothing.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            if not isinstance(node, (DiagonalSSM, EventPool, Readout, *STATELESS)):
                raise ProgramError(f"node {node.name}: Lava has no model for {type(node).__name__}")
        self.nodes = tuple(nodes)
        self.reset()

    def reset(self) -> None:
        """Zero states: the start of a sample."""
        self.ssm = {node.name: SsmState(node) for node in self.nodes if isinstance(node, DiagonalSSM)}
        self._pools = {node.name: PoolState(node) for node in self.nodes if isinstance(node, EventPool)}
        self.readouts = {node.name: ReadoutState(node) for node in self.nodes if isinstance(node, Readout)}

    def state_codes(self) -> np.ndarray:
        """Codes of all state-space nodes, real then imaginary of each; one zero where there are none. int64."""
        states = [state.codes.ravel() for state in self.ssm.values()]
        return np.concatenate(states) if states else np.zeros(1, dtype=np.int64)

    def step(self, edges: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One valid event: the edges that carry a value now, given ones included.

        A node whose input edge is missing (its window is still open) is not evaluated.
        """
        edges = dict(edges)
        for node in self.nodes:
            if isinstance(node, Readout):
                self._read_out(node, edges)
                continue
            if any(edge not in edges for edge in node.inputs):
                continue
            inputs = [edges[edge] for edge in node.inputs]
            if isinstance(node, DiagonalSSM):
                value = self.ssm[node.name].step(*inputs)
            elif isinstance(node, EventPool):
                value = self._pools[node.name].step(*inputs)
            else:
                value = STATELESS[type(node)](node, inputs)
            if value is not None:
                edges[node.name] = value
        return edges

    def _read_out(self, node: Readout, edges: dict[str, np.ndarray]) -> None:
        """A read-out takes what has arrived, at whichever rate, and always has a value."""
        state = self.readouts[node.name]
        if node.mode == "time" and node.inputs[2] in edges:
            state.pass_time(edges[node.inputs[2]])
        if node.inputs[0] in edges:
            state.take(*(edges[edge] for edge in node.inputs[:2]))
        edges[node.name] = state.value()
