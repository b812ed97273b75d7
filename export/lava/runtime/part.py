"""What one process does in a step, without Lava: a value and its head in, a value and its head out."""

from __future__ import annotations

import numpy as np

from ....program.nodes import Neurons
from .block import Block
from .head import COLUMNS, FLAG, GAP, POOL_GAP, RESET, VALID
from .wiring import Wires

Message = tuple[np.ndarray, np.ndarray]
"""Value (channels,) and head (3,), int64."""


class Part:
    """The nodes of one process. A step whose flag is not valid changes no state, whatever value comes with it. A
    strided layer marks its output valid at the last event of each window alone.
    """

    def __init__(self, wires: Wires) -> None:
        self.wires = wires
        self.block = Block(wires.nodes)

    def step(self, value: np.ndarray, head: np.ndarray, total: np.ndarray | None = None) -> Message:
        """One step.

        A read-out, which has a value at every step, also takes ``total``, the head at the full rate: its output is
        valid whenever that is.
        """
        wires, arriving = self.wires, {}
        if head[FLAG] & RESET:
            self.block.reset()
        if head[FLAG] & VALID:
            gap, pool_gap = head[GAP : GAP + 1], head[POOL_GAP : POOL_GAP + 1]
            arriving = {wires.value_in: value, wires.gap_in: gap, wires.pool_gap_in: pool_gap}
        if total is not None and total[FLAG] & VALID:
            arriving[wires.total_gap_in] = total[POOL_GAP : POOL_GAP + 1]
        edges = self.block.step({edge: array for edge, array in arriving.items() if edge})
        return self._message(edges, head if total is None else total)

    def _message(self, edges: dict[str, np.ndarray], head: np.ndarray) -> Message:
        wires, flag = self.wires, int(head[FLAG])
        value = edges.get(wires.value_out)
        if value is None:
            value, flag = np.zeros(wires.channels_out, dtype=np.int64), flag & ~VALID
        sent = np.zeros(COLUMNS, dtype=np.int64)
        sent[FLAG] = flag
        for column, edge in ((GAP, wires.gap_out), (POOL_GAP, wires.pool_gap_out)):
            if edge in edges:
                sent[column] = edges[edge][0]
        return value, sent

    def row(self, value: np.ndarray, head: np.ndarray) -> np.ndarray:
        """What is recorded of a step: the flag, the value sent, the states after it."""
        return np.concatenate([head[FLAG : FLAG + 1], value, self.block.state_codes()])


class FedPart(Part):
    """A part whose first node, neurons or integrators, is fed by processes that multiply, and that delay by a step.

    So the head, which was not delayed, waits here for its product. ``V z`` of the last valid step arrives one step
    after it, and stays until the next valid one.
    """

    def __init__(self, wires: Wires) -> None:
        super().__init__(wires)
        self._node = wires.nodes[0]
        self._waiting = np.zeros(COLUMNS, dtype=np.int64)
        self._fired = False
        self._recurrent = np.zeros(wires.nodes[0].channels, dtype=np.int64)

    def step_fed(self, product: np.ndarray, recurrent: np.ndarray, head: np.ndarray) -> Message:
        """One step. ``product`` belongs to the head of the step before, ``recurrent`` to the spikes sent then."""
        head, self._waiting = self._waiting, head
        if self._fired:
            self._recurrent = recurrent
        if head[FLAG] & RESET:
            self.block.reset()
            self._recurrent = np.zeros_like(self._recurrent)
        self._fired = bool(head[FLAG] & VALID)
        edges = {}
        if self._fired:
            products = (product, self._recurrent) if is_recurrent(self.wires) else (product,)
            edges[self._node.name] = self.block.states[self._node.name].advance(*products)
        return self._message(self.block.step(edges), head)


def is_recurrent(wires: Wires) -> bool:
    """Whether the first node sees its own spikes."""
    node = wires.nodes[0]
    return isinstance(node, Neurons) and node.is_recurrent
